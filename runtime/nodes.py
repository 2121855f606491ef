"""Who is in the cluster, as this node's own Valkey has it from whoever hears the others."""

import json
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings

from runtime.optional_valkey import fail_fast_client

KEY = "nodes"
# What was heard of the others is believed for so long.
BELIEVED_SECONDS = 10
SOCKET_TIMEOUT_SECONDS = 0.5


class NotKnown(Exception):
    """Nothing is known about the other nodes just now."""


@dataclass(frozen=True)
class Nodes:
    """The nodes that announced themselves lately, and those that should have."""

    present: list[dict[str, Any]]
    missing: list[str]


def keep(nodes: list[dict[str, Any]]) -> None:
    """Keep what was heard. Never raises: with Valkey away nobody can read it anyway."""
    try:
        with _client() as client:
            client.set(KEY, json.dumps(nodes), ex=BELIEVED_SECONDS)
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
        raise NotKnown("nothing was heard of the nodes lately: NATS or the relay of this node is away")
    present = json.loads(str(text))
    names = {node["node"] for node in present}
    return Nodes(present, [name for name in settings.NODES if name not in names])


def _client() -> redis.Redis:
    return fail_fast_client(settings.CACHE_URL, seconds=SOCKET_TIMEOUT_SECONDS)
