"""Who is part of the cluster and where it listens: chosen at the first start, and kept for the next ones."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from launcher.data_folder import DataFolder
from launcher.engines import free_port
from launcher.engines.postgres import DATABASE, SUPERUSER

BASE_DIR = Path(__file__).resolve().parent.parent
NODES = (1, 2, 3)
# Every node has these ports at an address of its own.
SERVICES = ("postgres", "patroni", "raft", "nats", "route", "monitor", "valkey", "web", "live")
SECRETS = (
    *("SECRET_KEY", "DATABASE_PASSWORD", "REPLICATION_PASSWORD", "VALKEY_PASSWORD", "PATRONI_PASSWORD"),
    *("NATS_PASSWORD", "NATS_READER_PASSWORD", "NATS_ROUTE_PASSWORD", "METRICS_TOKEN"),
)
DEMO_PASSWORDS = ("DEMO_ADMIN_PASSWORD", "DEMO_OPERATOR_PASSWORD", "DEMO_CUSTOMER_PASSWORD")
LOOPBACK, BRIDGE = "127.0.0", "10.83.75"
NATS_USER, NATS_READER = "orders", "reader"


class PlanError(Exception):
    """There is no cluster to work with; the message is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Node:
    """A node: its number, the folder of its data, and where it listens."""

    number: int
    folder: Path
    host: str
    ports: dict[str, int]

    @property
    def name(self) -> str:
        """What it is called everywhere: in the logs, in Patroni, in NATS, on the board."""
        return f"node-{self.number}"

    @property
    def down(self) -> Path:
        """A file that keeps the node from starting, as a machine that is switched off."""
        return self.folder / "down"

    def at(self, service: str) -> str:
        """Return `host:port` of one of its services."""
        return f"{self.host}:{self.ports[service]}"


@dataclass(frozen=True)
class Plan:
    """The whole cluster. `network` is `loopback`, or `namespaces` where each node has a network of its own."""

    folder: Path
    network: str
    ports: dict[str, int]
    secrets: dict[str, str]
    sandbox_port: int
    synchronous: str = "quorum"
    nodes: tuple[Node, ...] = field(default=())

    def node(self, number: int) -> Node:
        """Return a node by its number. Raises PlanError."""
        for node in self.nodes:
            if node.number == number:
                return node
        raise PlanError(
            f"There is no node {number}, only {', '.join(str(node.number) for node in self.nodes)}."
        )

    @property
    def outside(self) -> str:
        """The address at which nodes reach what is no part of any of them."""
        return "127.0.0.1" if self.network == "loopback" else f"{BRIDGE}.1"

    @property
    def prepared(self) -> Path:
        """A file that says that the database is up to date."""
        return self.folder / "prepared"

    def database_url(self, first: Node | None = None) -> str:
        """Return the address of whichever PostgreSQL takes writes; `first` is tried before the others."""
        nodes = sorted(self.nodes, key=lambda node: node is not first)
        hosts = ",".join(node.at("postgres") for node in nodes)
        password = self.secrets["DATABASE_PASSWORD"]
        return f"postgres://{SUPERUSER}:{password}@{hosts}/{DATABASE}?target_session_attrs=read-write"

    def replica_url(self, first: Node) -> str:
        """Return the address for reads that may be a moment old: a standby, or the leader where there is none."""
        return self.database_url(first).replace("=read-write", "=prefer-standby")

    def nats_url(self, first: Node | None = None) -> str:
        """Return the addresses of the NATS servers, separated by commas."""
        nodes = sorted(self.nodes, key=lambda node: node is not first)
        return ",".join(f"nats://{node.at('nats')}" for node in nodes)


def open_plan(folder: DataFolder, *, network: str) -> Plan:
    """Return the kept plan, or make one. Another network than last time means other addresses, nothing else."""
    file = folder.path / "plan.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    made = {
        "ports": kept.get("ports") or _free_ports(),
        "secrets": {name: _secret(name) for name in SECRETS + DEMO_PASSWORDS} | kept.get("secrets", {}),
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
    """Return the plan of a cluster that was started in `folder`. Raises PlanError."""
    try:
        kept = json.loads((folder / "plan.json").read_text())
    except OSError:
        raise PlanError(f"No cluster was started in {folder}: `make cluster` starts one.") from None
    return _with_nodes(Plan(folder=folder, **kept))


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
