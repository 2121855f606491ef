"""Whether nodes and the balancer answer."""

import http.client

from cluster.database import is_streaming
from cluster.plan import Node, Plan

HEALTH_SECONDS = 2.0


def is_ready(plan: Plan, node: Node) -> bool:
    """Whether a node is healthy and its PostgreSQL leads or streams."""
    return answers(node.at("web"), "/health") and is_streaming(plan, node)


def answers(place: str, path: str = "/health/ready") -> bool:
    connection = http.client.HTTPConnection(place, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
