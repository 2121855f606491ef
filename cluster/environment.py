"""Environment variables of the nodes and the balancer."""

import os
import sys
from pathlib import Path

from cluster.plan import DEMO_PASSWORDS, NATS_USER, Node, Plan
from launcher.run import QUIET

# A silent server is given up after twice this.
COMMAND_SECONDS = "3"
# Each may hold a connection: three nodes share the 200 of PostgreSQL.
WEB_THREADS = "16"


def common(plan: Plan) -> dict[str, str]:
    programs = Path(sys.executable).parent
    port, host = os.environ.get("PORT") or "8000", os.environ.get("HOST") or "127.0.0.1"
    hosts = ["localhost", "127.0.0.1", "[::1]", host, *(node.host for node in plan.nodes)]
    kept = ("SECRET_KEY", "METRICS_TOKEN", *DEMO_PASSWORDS)
    return {
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": os.environ.get("HOME") or str(plan.folder),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS") or QUIET,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DEPLOYMENT_MODE": "cluster",
        "DEBUG": "1",
        "DEMO": "1",
        "HTTPS": "0",
        "HOST": host,
        "PORT": port,
        "ALLOWED_HOSTS": ",".join(hosts),
        "PUBLIC_URL": os.environ.get("PUBLIC_URL") or f"http://localhost:{port}",
        "COMMAND_TIMEOUT_SECONDS": os.environ.get("COMMAND_TIMEOUT_SECONDS") or COMMAND_SECONDS,
        "WEB_THREADS": os.environ.get("WEB_THREADS") or WEB_THREADS,
        "SANDBOX_PORT": str(plan.sandbox_port),
        "SANDBOX_HOST": plan.outside,
        "SANDBOX_URL": f"http://{plan.outside}:{plan.sandbox_port}",
        "NATS_USER": NATS_USER,
        "NATS_PASSWORD": plan.secrets["NATS_PASSWORD"],
        "NODES": ",".join(node.name for node in plan.nodes),
        "VALKEY_MAXMEMORY": os.environ.get("VALKEY_MAXMEMORY") or "128mb",
    } | {name: plan.secrets[name] for name in kept}


def of_node(plan: Plan, node: Node) -> dict[str, str]:
    return os.environ | common(plan) | _own(plan, node)


def _own(plan: Plan, node: Node) -> dict[str, str]:
    return {
        "NODE_ID": node.name,
        "DATA_DIR": str(node.folder),
        "XDG_CONFIG_HOME": str(node.folder / "config"),
        "XDG_DATA_HOME": str(node.folder / "share"),
        "DATABASE_URL": plan.database_url(node),
        "DATABASE_REPLICA_URL": plan.replica_url(node),
        "REDIS_URL": f"redis://:{plan.secrets['VALKEY_PASSWORD']}@{node.at('valkey')}",
        "NATS_URL": plan.nats_url(node),
        "PATRONI_URL": f"http://{node.at('patroni')}",
        "WEB_HOST": node.host,
        "WEB_PORT": str(node.ports["web"]),
        "LIVE_HOST": node.host,
        "LIVE_PORT": str(node.ports["live"]),
        "LIVE_URL": f"http://{node.at('live')}",
    }


def of_front(plan: Plan, node_ports: list[int]) -> dict[str, str]:
    """Return the balancer's variables: the nodes' addresses and a public port each."""
    addresses: dict[str, str] = {}
    for node, port in zip(plan.nodes, node_ports, strict=True):
        addresses |= {
            f"WEB_{node.number}": node.at("web"),
            f"LIVE_{node.number}": node.at("live"),
            f"PORT_{node.number}": str(port),
        }
    folders = {"XDG_CONFIG_HOME": str(plan.folder / "config"), "XDG_DATA_HOME": str(plan.folder / "share")}
    return os.environ | common(plan) | addresses | folders
