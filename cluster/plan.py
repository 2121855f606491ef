"""The cluster's nodes, ports and secrets: generated at the first start, then kept."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from launcher.data_folder import DataFolder
from launcher.engines import free_port
from launcher.engines.postgres import DATABASE, SUPERUSER
from launcher.engines.roles import ROLE

BASE_DIR = Path(__file__).resolve().parent.parent
NODES = (1, 2, 3)
SERVICES = ("postgres", "patroni", "raft", "nats", "route", "monitor", "valkey", "web", "live")
SECRETS = (
    *("SECRET_KEY", "DATABASE_PASSWORD", "SUPERUSER_PASSWORD", "REPLICATION_PASSWORD", "PATRONI_PASSWORD"),
    "VALKEY_PASSWORD",
    *("NATS_PASSWORD", "NATS_READER_PASSWORD", "NATS_ROUTE_PASSWORD", "METRICS_TOKEN"),
)
DEMO_PASSWORDS = ("DEMO_ADMIN_PASSWORD", "DEMO_OPERATOR_PASSWORD", "DEMO_CUSTOMER_PASSWORD")
LOOPBACK, BRIDGE = "127.0.0", "10.83.75"
NATS_USER, NATS_READER = "orders", "reader"


class PlanError(Exception):
    """No usable cluster; the message has the cause and the fix."""


@dataclass(frozen=True)
class Node:
    """A node with its data folder, address and ports."""

    number: int
    folder: Path
    host: str
    ports: dict[str, int]

    @property
    def name(self) -> str:
        """Its name in logs, Patroni, NATS and on the board."""
        return f"node-{self.number}"

    @property
    def down(self) -> Path:
        """A marker file: the node does not start while it exists."""
        return self.folder / "down"

    @property
    def draining(self) -> Path:
        """A marker file: the node is about to stop, see `runtime.draining`."""
        return self.folder / "draining"

    def at(self, service: str) -> str:
        return f"{self.host}:{self.ports[service]}"


@dataclass(frozen=True)
class Plan:
    """The cluster. `network` is `loopback` or `namespaces`."""

    folder: Path
    network: str
    ports: dict[str, int]
    secrets: dict[str, str]
    sandbox_port: int
    synchronous: str = "quorum"
    nodes: tuple[Node, ...] = field(default=())

    def node(self, number: int) -> Node:
        for node in self.nodes:
            if node.number == number:
                return node
        raise PlanError(
            f"There is no node {number}, only {', '.join(str(node.number) for node in self.nodes)}."
        )

    @property
    def outside(self) -> str:
        """The host's address as the nodes reach it."""
        return "127.0.0.1" if self.network == "loopback" else f"{BRIDGE}.1"

    @property
    def prepared(self) -> Path:
        """A marker file: the database is migrated."""
        return self.folder / "prepared"

    def database_url(self, first: Node | None = None) -> str:
        """Return the application's URL, which finds the leader, trying `first` before the others."""
        return self._leader_url(ROLE, "DATABASE_PASSWORD", DATABASE, first)

    def superuser_url(self, database: str = DATABASE) -> str:
        return self._leader_url(SUPERUSER, "SUPERUSER_PASSWORD", database, None)

    def _leader_url(self, user: str, password: str, database: str, first: Node | None) -> str:
        nodes = sorted(self.nodes, key=lambda node: node is not first)
        hosts = ",".join(node.at("postgres") for node in nodes)
        return (
            f"postgres://{user}:{self.secrets[password]}@{hosts}/{database}?target_session_attrs=read-write"
        )

    def replica_url(self, first: Node) -> str:
        """Return a URL that prefers a standby."""
        return self.database_url(first).replace("=read-write", "=prefer-standby")

    def nats_url(self, first: Node | None = None) -> str:
        nodes = sorted(self.nodes, key=lambda node: node is not first)
        return ",".join(f"nats://{node.at('nats')}" for node in nodes)


def open_plan(folder: DataFolder, *, network: str) -> Plan:
    """Return the stored plan, or create one; `network` only changes addresses."""
    file = folder.path / "plan.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    made: dict[str, Any] = {
        "ports": kept.get("ports") or _free_ports(),
        "secrets": _secrets(kept.get("secrets", {})),
        "sandbox_port": kept.get("sandbox_port") or free_port(),
        "synchronous": os.environ.get("CLUSTER_SYNCHRONOUS_MODE") or kept.get("synchronous", "quorum"),
    }
    plan = _with_nodes(Plan(folder=folder.path, network=network, **made))
    fresh = file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({name: asdict(plan)[name] for name in ("network", *made)}, indent=1))
    fresh.replace(file)
    return plan


def running_plan(folder: Path) -> Plan:
    """Return the plan stored in `folder`. Raises PlanError."""
    try:
        kept = json.loads((folder / "plan.json").read_text())
    except OSError:
        raise PlanError(f"No cluster in {folder}: run `make cluster` first.") from None
    return _with_nodes(Plan(folder=folder, **kept))


def _secrets(kept: dict[str, str]) -> dict[str, str]:
    made = {name: _secret(name) for name in SECRETS + DEMO_PASSWORDS}
    if kept and "SUPERUSER_PASSWORD" not in kept:  # an earlier release had one login for both
        made["SUPERUSER_PASSWORD"] = kept["DATABASE_PASSWORD"]
    return made | kept


def _secret(name: str) -> str:
    return secrets.token_urlsafe(50 if name == "SECRET_KEY" else 12)


def _free_ports() -> dict[str, int]:
    ports: set[int] = set()
    while len(ports) < len(SERVICES):
        ports.add(free_port())
    return dict(zip(SERVICES, sorted(ports), strict=True))


def _with_nodes(plan: Plan) -> Plan:
    network = LOOPBACK if plan.network == "loopback" else BRIDGE
    nodes = tuple(
        Node(number, plan.folder / f"node-{number}", f"{network}.{10 + number}", plan.ports)
        for number in NODES
    )
    return Plan(**{name: getattr(plan, name) for name in Plan.__dataclass_fields__} | {"nodes": nodes})
