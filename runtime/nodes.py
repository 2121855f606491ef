"""The cluster's nodes as the relay stores them in this node's Valkey."""

import json
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings

from runtime.optional_valkey import fail_fast_client

KEY = "nodes"
TTL_SECONDS = 10
SOCKET_TIMEOUT_SECONDS = 0.5


class NotKnown(Exception):
    """The state of the other nodes is unknown."""


@dataclass(frozen=True)
class Nodes:
    """The nodes that announced themselves recently, and expected ones that did not."""

    present: list[dict[str, Any]]
    missing: list[str]


def keep(nodes: list[dict[str, Any]]) -> None:
    """Store the announced nodes. Never raises: without Valkey no process reads them."""
    try:
        with _client() as client:
            client.set(KEY, json.dumps(nodes), ex=TTL_SECONDS)
    except (redis.RedisError, OSError):
        return


def known() -> Nodes:
    """Return the nodes. Raises NotKnown."""
    try:
        with _client() as client:
            text = client.get(KEY)
    except (redis.RedisError, OSError) as error:
        raise NotKnown(str(error)) from error
    if text is None:
        raise NotKnown("no node was heard recently: NATS or this node's relay is down")
    present = json.loads(str(text))
    names = {node["node"] for node in present}
    return Nodes(present, [name for name in settings.NODES if name not in names])


def _client() -> redis.Redis:
    return fail_fast_client(settings.CACHE_URL, seconds=SOCKET_TIMEOUT_SECONDS)
