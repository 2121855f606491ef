"""The cluster's nodes: roles, missing ones, and orders claimed in the last minute."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from prometheus_client.core import GaugeMetricFamily, Metric

from database.prepared import execute
from runtime import nodes

CLAIMED = """
    SELECT node, sum(size)::int FROM orders_batch
    WHERE started_at > now() - interval '1 minute' AND node <> '' GROUP BY node
"""


def machines() -> dict[str, Any]:
    """Return the nodes as they announce themselves; none outside a cluster.

    Raises runtime.nodes.NotKnown when none was heard recently.
    """
    if not settings.NATS_URL:
        return {"mode": settings.DEPLOYMENT_MODE, "present": [], "missing": []}
    known = nodes.known()
    claimed = dict(execute(CLAIMED))
    present = [node | {"ordersLastMinute": claimed.get(node["node"], 0)} for node in known.present]
    return {"mode": settings.DEPLOYMENT_MODE, "present": present, "missing": known.missing}


def families(found: dict[str, Any]) -> Iterator[Metric]:
    up = GaugeMetricFamily("orders_node_up", "Whether a node announces itself.", labels=["node"])
    leads = GaugeMetricFamily(
        "orders_node_leads", "Whether a node is the leader for a role.", labels=["node", "role"]
    )
    lag = GaugeMetricFamily(
        "orders_node_database_lag_bytes", "Replication lag of a node's PostgreSQL.", labels=["node"]
    )
    for node in found["present"]:
        name, database, stream = node["node"], node["database"] or {}, node["stream"] or {}
        up.add_metric([name], 1)
        leads.add_metric([name, "database"], database.get("role") == "leader")
        leads.add_metric([name, "stream"], stream.get("leader") == name)
        leads.add_metric([name, "relay"], bool(node["relaying"]))
        if isinstance(database.get("lagBytes"), int):
            lag.add_metric([name], database["lagBytes"])
    for name in found["missing"]:
        up.add_metric([name], 0)
    yield from (up, leads, lag)
