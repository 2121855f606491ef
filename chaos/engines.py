"""PostgreSQL and Valkey of a campaign, killed and started again."""

import asyncio
import secrets
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import redis

from launcher.child import start_child
from launcher.engines import EngineError, free_port, wait_until_ready
from launcher.engines.postgres import Postgres
from launcher.engines.valkey import Valkey
from launcher.guardian import Guardian

STARTS = 8


class Engines:
    """Both engines, in one folder, and what is asked of them."""

    def __init__(self, folder: Path, guardian: Guardian) -> None:
        self.folder = folder
        self._guardian = guardian
        self.postgres = Postgres(folder=folder / "postgres", port=free_port(), password=secrets.token_hex(12))
        self.valkey = Valkey(folder=folder / "valkey", port=free_port(), password=secrets.token_hex(12))
        self.engines: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0

    async def start_postgres(self, *, entry: tuple[str, ...] = ()) -> None:
        """Return once it answers; retries while a killed server still holds its memory.

        `entry` is prepended to the command.
        """
        for left in reversed(range(STARTS)):
            try:
                await self._start_engine("postgres", self.postgres, entry)
            except EngineError:
                if not left:
                    raise
                await asyncio.sleep(0.5)
            else:
                return

    async def start_valkey(self, *, empty: bool = False, entry: tuple[str, ...] = ()) -> None:
        """Return once it answers; `empty`: without its files. `entry` is prepended to the command."""
        if empty:
            for file in self.valkey.folder.glob("appendonlydir/*"):
                file.unlink()
        await self._start_engine("valkey", self.valkey, entry)

    async def _start_engine(self, name: str, engine: Postgres | Valkey, entry: tuple[str, ...]) -> None:
        await asyncio.to_thread(engine.prepare)
        with engine.log.open("ab") as log:
            process = start_child(
                [*entry, *engine.argv()],
                death_signal=engine.stop_signal,
                output=log.fileno(),
                account=engine.account(),
            )
        self.engines[name] = process
        self._guardian.watch(process.pid, stop_signal=engine.stop_signal)
        await asyncio.to_thread(wait_until_ready, engine, process)

    def signal_engine(self, name: str, number: signal.Signals) -> None:
        """Signal an engine's main process; wait for its exit if it is fatal."""
        process = self.engines[name]
        process.send_signal(number)
        self.kills += number == signal.SIGKILL

    async def end_engine(self, name: str, number: signal.Signals) -> None:
        """Stop an engine by a signal; return once it has exited."""
        self.signal_engine(name, number)
        await asyncio.to_thread(self.engines[name].wait, 30)
        self._guardian.forget(self.engines[name].pid)

    def _end_engine(self, name: str, number: signal.Signals) -> None:
        process = self.engines.get(name)
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.postgres.url, connect_timeout=5, autocommit=True) as connection:
            return connection.execute(statement, parameters or None).fetchall()

    def do(self, statement: str, *parameters: Any) -> None:
        with psycopg.connect(self.postgres.url, connect_timeout=5, autocommit=True) as connection:
            connection.execute(statement, parameters or None)

    def token_of(self, username: str) -> str:
        token = f"opt_{secrets.token_urlsafe(32)}"
        self.do(
            "INSERT INTO accounts_apitoken (user_id, name, digest, hint, password_mark)"
            " SELECT id, '', encode(sha256(%s), 'hex'), '', encode(sha256(convert_to(password, 'UTF8')), 'hex')"
            " FROM auth_user WHERE username = %s",
            token.encode(),
            username,
        )
        return token

    def broker(self, database: int = 0) -> redis.Redis:
        return redis.Redis.from_url(
            f"{self.valkey.url}/{database}", socket_timeout=5, socket_connect_timeout=2, decode_responses=True
        )
