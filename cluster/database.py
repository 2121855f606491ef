"""The PostgreSQL members as Patroni reports them."""

import requests

from cluster.plan import Node, Plan

PATRONI_SECONDS = 2.0


def leader(plan: Plan) -> str:
    """Return the leader's node; empty if there is none."""
    return next((member["name"] for member in _members(plan) if member.get("role") == "leader"), "")


def is_streaming(plan: Plan, node: Node) -> bool:
    """Whether a node's PostgreSQL leads or streams."""
    return any(
        member["name"] == node.name and member.get("state") in ("streaming", "running")
        for member in _members(plan)
    )


def _members(plan: Plan) -> list[dict[str, str]]:
    for node in plan.nodes:
        try:
            answer = requests.get(f"http://{node.at('patroni')}/cluster", timeout=PATRONI_SECONDS)
            return list(answer.json()["members"])
        except (requests.RequestException, ValueError, KeyError):
            continue
    return []
