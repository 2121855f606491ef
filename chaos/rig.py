"""The system as processes that can be killed, frozen, added and disconnected one by one.

Uses `launcher.engines` and the Procfile, and restarts processes as `launcher.supervisor` does. All end with this
process: see `launcher.child` and `launcher.guardian`.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import redis

from chaos.client import NoAnswer, call
from chaos.engines import Engines
from chaos.proxy import Proxy
from launcher.child import signal_group, start_child
from launcher.engines import free_port
from launcher.guardian import Guardian
from launcher.procfile import PROCFILE, expand, parse

ROOT = Path(__file__).resolve().parent.parent
WORKERS = ("worker-orders", "worker-inventory", "worker-shipping", "worker-payments", "worker-notifications")
STEP_WORKERS = WORKERS[:4]
WEBS = ("web-1", "web-2")
BASE = ("sandbox", *WEBS, "live", "dispatcher", *WORKERS, "beat")
POLL_SECONDS = 0.1
# For a busy machine.
START_SECONDS = 240.0
RESTORE_SECONDS = 60.0
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class NotWell(Exception):
    """A process did not recover after its faults were removed."""


@dataclass(slots=True)
class Managed:
    name: str
    command: str
    variables: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    frozen: bool = False
    starts: int = 0
    since: float = 0.0  # monotonic

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Rig(Engines):
    """Engines, processes and proxies, in one folder."""

    base: tuple[str, ...] = BASE  # the processes that it starts

    def __init__(self, folder: Path, guardian: Guardian, **variables: str) -> None:
        super().__init__(folder, guardian)
        self._extra = variables
        self.sandbox_port, self.live_port = free_port(), free_port()
        self.web_ports = [free_port(), free_port()]
        self._secret_key = secrets.token_urlsafe(50)
        self._passwords = {name: secrets.token_hex(8) for name in ("ADMIN", "OPERATOR", "CUSTOMER")}
        self._commands = {entry.name: entry.command for entry in parse(PROCFILE.read_text())}
        self.processes: dict[str, Managed] = {}
        self.proxies: dict[str, Proxy] = {}
        self._keeper: asyncio.Task[None] | None = None

    # --- Start and stop -----------------------------------------------------------------------------------

    async def start(self) -> None:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        await self.start_postgres()
        await self.start_valkey()
        await asyncio.to_thread(self.postgres.create_database)
        for name, port in (("postgres", self.postgres.port), ("valkey", self.valkey.port)):
            self.proxies[name] = Proxy(port)
        self.proxies["sandbox"] = Proxy(self.sandbox_port)
        for proxy in self.proxies.values():
            await proxy.start()
        await self._prepare()
        for name in self.base:
            self.add(name)
        self._keeper = asyncio.create_task(self._keep())
        await self.until_ready()

    async def stop(self) -> None:
        if self._keeper:
            self._keeper.cancel()
        for managed in self.processes.values():
            self._end(managed)
        for name, engine in (("valkey", self.valkey), ("postgres", self.postgres)):
            await asyncio.to_thread(self._end_engine, name, engine.stop_signal)
        for proxy in self.proxies.values():
            await proxy.stop()

    async def until_ready(self, *, seconds: float = START_SECONDS) -> None:
        """Return once web and live servers answer and every worker fetches."""
        async with asyncio.timeout(seconds):
            for port in self.web_ports:
                while not await self._serves(port):
                    await asyncio.sleep(0.1)
            while not await self._listens(self.live_port):
                await asyncio.sleep(0.1)
            while not await asyncio.to_thread(self.workers_listen):
                await asyncio.sleep(0.2)

    def workers_listen(self) -> bool:
        try:
            with self.broker() as client:
                waiting = [c for c in client.client_list() if c["cmd"] == "brpop"]
        except redis.RedisError:
            return False
        return len(waiting) >= sum(
            name.startswith("worker") and m.wanted for name, m in self.processes.items()
        )

    async def _serves(self, port: int) -> bool:
        try:
            return (await call(port, "GET", "/health/ready", timeout=5)).status == 200
        except (NoAnswer, TimeoutError):
            return False

    async def _listens(self, port: int) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    async def _prepare(self) -> None:
        with (self.folder / "logs" / "prepare.log").open("ab") as log:
            process = start_child(
                [sys.executable, "-m", "config.prepare"],
                death_signal=signal.SIGKILL,
                env=self.environment(),
                cwd=ROOT,
                output=log.fileno(),
            )
        self._guardian.watch(process.pid)
        status = await asyncio.to_thread(process.wait)
        self._guardian.forget(process.pid)
        if status:
            raise RuntimeError(f"The database could not be prepared: see {self.folder}/logs/prepare.log")

    # --- Environment ----------------------------------------------------------------------------------------

    def environment(self, **variables: str) -> dict[str, str]:
        """Return a process's environment, isolated from ours."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        inherited["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
        settings = {
            "DATA_DIR": str(self.folder),
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "SECRET_KEY": self._secret_key,
            "DEBUG": "1",
            "DEMO": "1",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "SANDBOX_PORT": str(self.sandbox_port),
            "SANDBOX_DATA": str(self.folder / "sandbox"),
            # Beside the default gateway, for the rows of money.
            "PAYMENT_GATEWAYS": "stripe",
            "STRIPE_API_KEY": "sk_of_the_campaign",
            "STRIPE_API_URL": f"http://127.0.0.1:{self.sandbox_port}/stripe",
            "LIVE_PORT": str(self.live_port),
            "THROTTLE_WRITES": "off",
            "THROTTLE_READS": "off",
            "DECLINES_PER_ACCOUNT": "off",
            "THROTTLE_BULK_LINES": "off",
            "THROTTLE_WRONG_TOKENS": "off",
            "REQUESTS_AT_ONCE": "1000",
            # Short, so that rows with timeouts end within a minute.
            "EXTERNAL_TIMEOUT_SECONDS": "2",
            "HEALTH_CHECK_INTERVAL": "5",
            "INVENTORY_SYNC_INTERVAL": "3600",
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "ignore:::celery.platforms",
        }
        passwords = {f"DEMO_{name}_PASSWORD": value for name, value in self._passwords.items()}
        return inherited | settings | passwords | self._extra | variables

    def through_proxies(self, *names: str) -> dict[str, str]:
        found = {}
        if "postgres" in names:
            found["DATABASE_URL"] = _at(self.postgres.url, self.proxies["postgres"].port)
        if "valkey" in names:
            found["REDIS_URL"] = _at(self.valkey.url, self.proxies["valkey"].port)
        if "sandbox" in names:
            found["SANDBOX_URL"] = f"http://127.0.0.1:{self.proxies['sandbox'].port}"
        return found

    def _variables_of(self, name: str) -> dict[str, str]:
        if name in WEBS:
            return {"WEB_PORT": str(self.web_ports[WEBS.index(name)])}
        return {}

    # --- Processes ------------------------------------------------------------------------------------------

    def add(self, name: str, *, like: str = "", **variables: str) -> Managed:
        """Start a process of the Procfile, or another one `like` it."""
        kind = like or ("web" if name in WEBS else name)
        command = self._commands[kind]
        if like.startswith("worker"):  # worker names must be unique
            command = command.replace("@%h", f"-{name}@%h")
        managed = Managed(name, command, self._variables_of(name) | variables)
        self.processes[name] = managed
        self._launch(managed)
        return managed

    def _launch(self, managed: Managed) -> None:
        environment = self.environment(**managed.variables)
        argv, assigned = expand(managed.command, environment)
        with (self.folder / "logs" / f"{managed.name}.log").open("ab") as log:
            managed.process = start_child(
                argv, death_signal=signal.SIGKILL, env=environment | assigned, cwd=ROOT, output=log.fileno()
            )
        managed.starts, managed.frozen, managed.since = managed.starts + 1, False, time.monotonic()
        self._guardian.watch(managed.pid)

    async def _keep(self) -> None:
        """Restart processes that exited, after killing their groups."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for managed in list(self.processes.values()):
                if managed.wanted and not managed.is_running:
                    self._end(managed)
                    self._launch(managed)

    def kill(self, *names: str) -> None:
        """SIGKILL process groups; they are restarted at once."""
        for name in names:
            if self.processes[name].process is not None:
                signal_group(self.processes[name].process, signal.SIGKILL)  # type: ignore[arg-type]
                self.kills += 1

    def kill_child(self, name: str) -> None:
        """SIGKILL a worker's pool child, as the OOM killer does."""
        for child in self._children(name):
            with contextlib.suppress(psutil.Error):
                child.kill()
                self.kills += 1

    def has_children(self, name: str) -> bool:
        """Whether it has child processes, such as a worker's pool."""
        return bool(self._children(name))

    def _children(self, name: str) -> list[psutil.Process]:
        try:
            return psutil.Process(self.processes[name].pid).children(recursive=True)
        except psutil.Error:
            return []

    def freeze(self, *names: str) -> None:
        for name in names:
            self.processes[name].frozen = True
            signal_group(self.processes[name].process, signal.SIGSTOP)  # type: ignore[arg-type]

    def thaw(self, *names: str) -> None:
        for name in names:
            self.processes[name].frozen = False
            signal_group(self.processes[name].process, signal.SIGCONT)  # type: ignore[arg-type]

    async def take_down(
        self, *names: str, number: signal.Signals = signal.SIGTERM, patience: float = 15
    ) -> None:
        """Stop processes for good; kill them after `patience` seconds."""
        for name in names:
            self.processes[name].wanted = False
            if self.processes[name].is_running:
                self.processes[name].process.send_signal(number)  # type: ignore[union-attr]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while any(self.processes[name].is_running for name in names):
                    await asyncio.sleep(0.05)
        for name in names:
            self._end(self.processes[name])

    def bring_up(self, *names: str, **variables: str) -> None:
        for name in names:
            managed = self.processes[name]
            managed.variables |= variables
            managed.wanted = True
            self._launch(managed)

    async def restart(self, *names: str, **variables: str) -> None:
        await self.take_down(*names)
        self.bring_up(*names, **variables)

    async def restore(self) -> None:
        for proxy in self.proxies.values():
            proxy.heal()
        for name in [name for name in self.processes if name not in self.base]:
            self._end(self.processes.pop(name))
        if self.valkey.name not in self.engines or self.engines["valkey"].poll() is not None:
            await self.start_valkey()
        if self.engines["postgres"].poll() is not None:
            await self.start_postgres()
        for name in [m.name for m in self.processes.values() if m.frozen]:
            self.thaw(name)
        changed = [
            m for m in self.processes.values() if m.variables != self._variables_of(m.name) or not m.wanted
        ]
        await self.take_down(*(managed.name for managed in changed), patience=5)
        for managed in changed:
            managed.variables = self._variables_of(managed.name)
            self.bring_up(managed.name)
        try:
            await self.until_ready(seconds=RESTORE_SECONDS)
        except TimeoutError:
            await self._restart_all()
            raise NotWell(
                f"not ready {RESTORE_SECONDS:.0f} s after the faults; everything was restarted"
            ) from None

    async def _restart_all(self) -> None:
        names = [name for name in self.processes if name != "sandbox"]
        await self.take_down(*names, patience=5)
        self.bring_up(*names)
        await self.until_ready()

    def _end(self, managed: Managed) -> None:
        if managed.process is None:
            return
        signal_group(managed.process, signal.SIGCONT)
        signal_group(managed.process, signal.SIGKILL)
        managed.process.wait()
        self._guardian.forget(managed.pid)

    # --- Inspection -----------------------------------------------------------------------------------------

    def usage(self, name: str) -> tuple[float, int]:
        """Return a process tree's memory in MB and its open files."""
        members = [psutil.Process(self.processes[name].pid), *self._children(name)]
        return sum(m.memory_info().rss for m in members) / 1e6, sum(m.num_fds() for m in members)

    async def manage(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        return process.returncode, process.stdout + process.stderr

    async def sandbox(self, method: str, path: str, body: Any = None) -> None:
        answer = await call(self.sandbox_port, method, path, body=body)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.body!r}")

    async def until(self, condition: Callable[[], Any], *, seconds: float) -> bool:
        """Whether the condition holds within `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not await asyncio.to_thread(condition):
                    await asyncio.sleep(0.1)
                return True
        return False


def _at(url: str, port: int) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")).geturl()
