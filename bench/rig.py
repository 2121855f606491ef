"""Engines and processes of one contestant, metered by group."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import redis

from bench import meters
from launcher.child import start_child, stop_child
from launcher.engines import Engine, free_port, start_engine, stop_engine
from launcher.engines.postgres import Postgres
from launcher.engines.valkey import Valkey

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
POSTGRES = "postgres"
VALKEY = "valkey"

# Not inherited by contestants.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "DEMO", "DJANGO_SETTINGS_MODULE", "DATA_DIR")
# Set by `make run` itself.
FOUND_OUT = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "DEBUG",
    "DEMO",
    "ALLOWED_HOSTS",
    "HTTPS",
    "PAYMENT_GATEWAY",
)


class RigError(Exception):
    """A process did not start, or exited early."""


class Rig:
    """A contestant's folder, durable engines and metered process groups."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"order-bench-{name}-"))
        self.folder.chmod(0o711)  # PostgreSQL may run as another account
        self.ports = {port: free_port() for port in ("web", "live", "sandbox", "proxy", "flower")}
        self._engines: list[tuple[Engine, subprocess.Popen[bytes]]] = []
        self._processes: dict[str, list[subprocess.Popen[bytes]]] = {}
        self._query_connection: psycopg.Connection[Any] | None = None
        self.environment = self._environment()
        self.on_ready: Callable[[], None] = _nothing  # called as the first meter is read

    # --- Start and stop -----------------------------------------------------------------------------------

    def start_engines(self) -> None:
        folder = self.folder
        postgres = Postgres(
            folder=folder / POSTGRES,
            port=free_port(),
            password=secrets.token_hex(12),
            # Latencies are measured to the commit.
            parameters={"track_commit_timestamp": "on"},
            role_attributes="IN ROLE pg_checkpoint",
        )
        valkey = Valkey(folder=folder / VALKEY, port=free_port(), password=secrets.token_hex(12))
        self._start_engine(postgres)
        postgres.create_database()
        self._start_engine(valkey)
        self.environment |= {"DATABASE_URL": postgres.url, "REDIS_URL": valkey.url}

    def _start_engine(self, engine: Engine) -> None:
        self._engines.append((engine, start_engine(engine)))

    def start(
        self, group: str, command: Sequence[str], *, without: Collection[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a process in a group, `without` some variables; log to the folder."""
        variables = {name: value for name, value in self.environment.items() if name not in without}
        with (self.folder / f"{group}.log").open("ab") as log:
            process = start_child(
                command,
                death_signal=signal.SIGTERM,
                env=variables | environment,
                cwd=ROOT,
                output=log.fileno(),
            )
        self._processes.setdefault(group, []).append(process)
        return process

    def run(self, *command: str, **environment: str) -> str:
        """Run a program; return its output. Raises RigError when it fails."""
        done = subprocess.run(
            command,
            env=self.environment | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise RigError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout

    def start_sandbox(self, *, latency_ms: int) -> None:
        shutil.rmtree(self.folder / "sandbox", ignore_errors=True)
        self.start("sandbox", [sys.executable, "-m", "sandbox"])
        url = f"http://127.0.0.1:{self.ports['sandbox']}"
        self.wait_for(f"{url}/payments/health")
        script = json.dumps({"latencyMs": latency_ms}).encode()
        request = urllib.request.Request(f"{url}/faults/payments", script, method="PUT")  # noqa: S310
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            pass

    def flush_valkey(self) -> None:
        with redis.Redis.from_url(self.environment["REDIS_URL"]) as client:
            client.flushall()

    def stop_processes(self) -> None:
        for process in [each for group in self._processes.values() for each in group]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGTERM)
        for process in [each for group in self._processes.values() for each in group]:
            stop_child(process, stop_signal=signal.SIGTERM, timeout=STOP_SECONDS)
        self._processes.clear()

    def stop(self) -> None:
        self.stop_processes()
        self.forget_connection()
        while self._engines:
            stop_engine(*self._engines.pop())
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- Measurement --------------------------------------------------------------------------------------

    def read(self) -> meters.Reading:
        self.check()
        self.on_ready()
        self.on_ready = _nothing
        return meters.read(self._roots())

    def pss_megabytes(self) -> dict[str, float]:
        return {group: meters.pss_megabytes(pids) for group, pids in self._roots().items()}

    def check(self) -> None:
        """Raise RigError if a process has exited."""
        for group, processes in self._processes.items():
            for process in processes:
                if process.poll() is not None:
                    log = self.folder / f"{group}.log"
                    raise RigError(f"{self.name}'s {group} ended: {log.read_text()[-2000:]}")

    def _roots(self) -> dict[str, list[int]]:
        roots = {group: [process.pid for process in each] for group, each in self._processes.items()}
        return roots | {engine.name: [process.pid] for engine, process in self._engines}

    def pids(self, group: str) -> list[int]:
        return self._roots().get(group, [])

    @contextlib.contextmanager
    def frozen(self, group: str) -> Iterator[None]:
        self._signal(group, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(group, signal.SIGCONT)

    def _signal(self, group: str, number: signal.Signals) -> None:
        for pid in self.pids(group):
            os.killpg(pid, number)

    def wait_for(self, url: str) -> None:
        self.until(lambda: _answers(url), f"{url} to answer")

    def until(self, condition: Callable[[], bool], what: str, *, seconds: float = READY_SECONDS) -> None:
        """Wait for a condition. Raises RigError on timeout."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise RigError(f"{self.name}: waited {seconds:.0f} s in vain for {what}")
            time.sleep(0.05)

    def value(self, statement: str, *parameters: Any) -> Any:
        """Return a query's single value, on a reused connection, as it is polled."""
        if self._query_connection is None or self._query_connection.closed:
            self._query_connection = self.connect()
        row = self._query_connection.execute(statement, parameters).fetchone()
        assert row is not None
        return row[0]

    def forget_connection(self) -> None:
        """Close the connection of `value`: its server is another one from now on."""
        if self._query_connection is not None:
            self._query_connection.close()
            self._query_connection = None

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.environment["DATABASE_URL"], autocommit=True)

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        (self.folder / "data" / "static").mkdir(parents=True)
        programs = Path(sys.executable).parent
        return inherited | {
            "PATH": f"{programs}{os.pathsep}{inherited.get('PATH', '')}",
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(self.folder / "data"),
            "SANDBOX_DATA": str(self.folder / "sandbox"),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "DEBUG": "0",
            "DEMO": "0",
            "HTTPS": "0",
            "ALLOWED_HOSTS": "localhost,127.0.0.1",
            "ALLOW_SANDBOX": "1",
            "DEFAULT_PAYMENT_TOKEN": "tok_demo",
            "LOG_LEVEL": "WARNING",
            "PORT": str(self.ports["proxy"]),
            "WEB_PORT": str(self.ports["web"]),
            "LIVE_PORT": str(self.ports["live"]),
            "SANDBOX_PORT": str(self.ports["sandbox"]),
            "FLOWER_PORT": str(self.ports["flower"]),
        }


def is_well(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except OSError:
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _nothing() -> None:
    """Do nothing."""
