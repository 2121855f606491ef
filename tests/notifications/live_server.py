"""The live server as a real process, and clients with real sockets."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from launcher.child import start_child, stop_child
from launcher.engines import free_port, is_free
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent


OPTIONS = [
    "config.asgi:application",
    "--lifespan",
    "off",
    "--log-level",
    "warning",
    "--ws",
    "websockets-sansio",
]
# Nothing that a test waits for takes so long, unless it never comes.
PATIENCE_SECONDS = 30.0
# By which a test finds the server's connections in the database.
APPLICATION_NAME = "live-server"


class LiveServer:
    """uvicorn with `config.asgi` on a port of its own, on the database of the tests."""

    def __init__(self, **environment: str) -> None:
        self.port = free_port()
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"ws://{self.host}"

    def start(self) -> Self:
        """Return once it listens."""
        self._process = start_child(
            [sys.executable, "-m", "uvicorn", *OPTIONS, "--port", str(self.port)],
            death_signal=signal.SIGTERM,
            cwd=ROOT,
            env=os.environ | _environment() | self._environment,
        )
        process = self._process
        until(lambda: not is_free(self.port) or process.poll() is not None)
        assert process.poll() is None
        return self

    def stop(self) -> None:
        if self._process:
            stop_child(self._process, stop_signal=signal.SIGTERM, timeout=10)
            self._process = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def connect(
        self, path: str, *, origin: bool = True, sock: socket.socket | None = None, **headers: str
    ) -> connect:
        """Open a socket as a page of this site does; without `origin` as a script does."""
        options: dict[str, Any] = {"sock": sock} if sock else {}
        return connect(
            self.url + path,
            origin=f"http://{self.host}" if origin else None,  # type: ignore[arg-type]
            additional_headers={name.replace("_", "-"): value for name, value in headers.items()},
            compression=None,
            proxy=None,
            **options,
        )


def _environment() -> dict[str, str]:
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    return {
        "DATABASE_URL": database.geturl(),
        "SECRET_KEY": settings.SECRET_KEY,
        "PGAPPNAME": APPLICATION_NAME,
    }


async def next_message(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message of a plain socket."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return json.loads(await socket.recv())


async def next_messages(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """Return the next so many messages."""
    return [await next_message(socket) for _ in range(count)]


async def close_of(socket: ClientConnection) -> tuple[int, str]:
    """Return the code and reason that the socket is closed with, whatever is told before."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await socket.recv()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""
