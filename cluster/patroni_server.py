"""PostgreSQL under Patroni: one of three members, one of which is the leader.

Uses Patroni's raft, as no wheel provides etcd. In production use etcd, an operator or a managed service: see
docs/cluster.md.
"""

import json
import pwd
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from launcher.engines.identity import Identity, unprivileged
from launcher.engines.postgres import SUPERUSER, Postgres

STARTER = Path(__file__).with_name("quick_patroni.py")
# Patroni's minimum TTL; without a heartbeat for that long, a new leader is elected.
TTL, LOOP_WAIT, RETRY_TIMEOUT = 20, 1, 3
DYNAMIC = {
    "ttl": TTL,
    "loop_wait": LOOP_WAIT,
    "retry_timeout": RETRY_TIMEOUT,
    # Fail over at once: a restarted leader might expose commits that no standby has.
    "primary_start_timeout": 0,
    "synchronous_node_count": 1,
    "maximum_lag_on_failover": 32 * 1024**2,
}
PARAMETERS = {
    "max_connections": 200,
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "wal_keep_size": "256MB",
    "wal_log_hints": "on",
    "hot_standby": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "shared_preload_libraries": "pg_stat_statements",
    # Drop silent sessions, which may hold session locks.
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
    "wal_sender_timeout": "10s",
    "wal_receiver_timeout": "10s",
}


@dataclass(frozen=True, kw_only=True)
class PatroniServer:
    """Patroni and its PostgreSQL at `host`; `partners` are the other raft addresses."""

    name: ClassVar[str] = "patroni"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    folder: Path
    member: str
    host: str
    port: int
    postgres_port: int
    raft_port: int
    partners: Sequence[str]
    network: str  # of allowed clients, such as 10.0.0.0/8
    password: str
    replication_password: str
    patroni_password: str
    synchronous: str = "quorum"
    identity: Identity = field(default_factory=unprivileged)

    @property
    def log(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def data(self) -> Path:
        return self.identity.reachable(self.folder) / "data"

    def account(self) -> pwd.struct_passwd | None:
        return self.identity.account

    def argv(self) -> Sequence[str]:
        return [*self.identity.prefix, sys.executable, "-P", str(STARTER), str(self._configuration)]

    def prepare(self) -> None:
        """Write the configuration; JSON is YAML."""
        folder = self.identity.reachable(self.folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.identity.own(folder)
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(json.dumps(self._settings(), indent=1))
        self.identity.own(self._configuration)

    def is_ready(self) -> bool:
        """Return True: waiting for an election here would keep the other engines from starting."""
        return True

    @property
    def _configuration(self) -> Path:
        return self.identity.reachable(self.folder) / "patroni.json"

    def _settings(self) -> dict[str, object]:
        folder = self.identity.reachable(self.folder)
        return {
            "scope": "orders",
            "name": self.member,
            "restapi": {
                "listen": f"{self.host}:{self.port}",
                "connect_address": f"{self.host}:{self.port}",
                "authentication": {"username": "patroni", "password": self.patroni_password},
            },
            "raft": {
                "data_dir": str(folder / "raft"),
                "self_addr": f"{self.host}:{self.raft_port}",
                "bind_addr": f"{self.host}:{self.raft_port}",  # else all addresses
                "partner_addrs": list(self.partners),
                "password": self.patroni_password,
            },
            "bootstrap": {"dcs": self._dynamic(), "initdb": self._initdb()},
            "postgresql": self._postgresql(folder),
            "watchdog": {"mode": "off"},
            "log": {"level": "WARNING"},
        }

    def _dynamic(self) -> dict[str, object]:
        # A commit waits for one standby's fsync, else a new leader may lack acknowledged orders.
        mode: object = False if self.synchronous == "off" else self.synchronous
        postgresql = {
            "use_pg_rewind": True,
            "use_slots": True,
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
            "parameters": PARAMETERS,
        }
        return DYNAMIC | {"synchronous_mode": mode, "postgresql": postgresql}

    @staticmethod
    def _initdb() -> list[object]:
        return [
            {"encoding": "UTF8"},
            {"locale-provider": "builtin"},
            {"builtin-locale": "C.UTF-8"},
            {"locale": "C"},
            {"auth": "scram-sha-256"},
            "data-checksums",
        ]

    def _postgresql(self, folder: Path) -> dict[str, object]:
        postgres = Postgres(
            folder=folder, port=self.postgres_port, password=self.password, identity=self.identity
        )
        return {
            "listen": f"{self.host}:{self.postgres_port}",
            "connect_address": f"{self.host}:{self.postgres_port}",
            "data_dir": str(folder / "data"),
            "bin_dir": str(postgres.programs()),
            "pgpass": str(folder / "pgpass"),
            # Else it waits minutes for a checkpoint.
            "basebackup": [{"checkpoint": "fast"}],
            "use_unix_socket": False,
            # A standby soon finds the new leader: until one has, no commit is acknowledged.
            "parameters": {
                "unix_socket_directories": "",
                "wal_retrieve_retry_interval": "500ms",
                "hot_standby_feedback": "on",  # an export may read there for minutes
            },
            "authentication": {
                "superuser": {"username": SUPERUSER, "password": self.password},
                "replication": {"username": "replicator", "password": self.replication_password},
            },
            "pg_hba": [
                f"host all all {self.network} scram-sha-256",
                f"host replication replicator {self.network} scram-sha-256",
            ],
        }
