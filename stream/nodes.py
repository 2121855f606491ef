"""Node discovery: each node renews its entry in a NATS key-value bucket with a TTL."""

import asyncio
import json
import logging
import time
from typing import Any

import requests
from django.conf import settings
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StorageType, StreamInfo
from nats.js.errors import NoKeysError, NotFoundError
from nats.js.kv import KeyValue

from runtime import heartbeats, nodes
from stream.cancellation import honour_cancellation
from stream.definition import NAME
from stream.relay import Relay

logger = logging.getLogger(__name__)

BUCKET = "nodes"
BEAT_SECONDS = 2.0
# Three missed heartbeats.
GONE_SECONDS = 6.0
PATRONI_SECONDS = 1.0


class Announcer:
    """Announces this node, and stores the others' entries for this node's processes."""

    def __init__(self, client: Client, *, relay: Relay) -> None:
        self._client, self._js = client, client.jetstream()
        self._relay = relay
        self._since = time.time()

    async def run(self) -> None:
        """Announce until cancelled, across NATS failures."""
        while True:
            try:
                await self._beat()
            except (NatsError, OSError, TimeoutError) as error:
                logger.info("Cannot announce this node: %r", error)
            honour_cancellation()
            await asyncio.sleep(BEAT_SECONDS)

    async def _beat(self) -> None:
        bucket = await self._bucket()
        await bucket.put(settings.NODE_ID, json.dumps(await self._facts()).encode())
        await asyncio.to_thread(nodes.keep, await _announced(bucket))

    async def _bucket(self) -> KeyValue:
        """Return the bucket, looked up each time: it may have been deleted."""
        try:
            return await self._js.key_value(BUCKET)
        except NotFoundError:
            return await self._js.create_key_value(
                bucket=BUCKET, ttl=GONE_SECONDS, replicas=settings.STREAM_REPLICAS, storage=StorageType.MEMORY
            )

    async def _facts(self) -> dict[str, Any]:
        database, present = await asyncio.to_thread(_database), await asyncio.to_thread(_processes)
        return {
            "node": settings.NODE_ID,
            "version": settings.SPECTACULAR_SETTINGS["VERSION"],
            "since": round(self._since, 1),
            "processes": present,
            "relaying": self._relay.is_active,
            "database": database,
            "stream": await self._stream(),
        }

    async def _stream(self) -> dict[str, Any] | None:
        try:
            info = await self._js.stream_info(NAME)
        except (NatsError, NotFoundError):
            return None
        return {"messages": info.state.messages, "last": info.state.last_seq, **_replicas(info)}


def _replicas(info: StreamInfo) -> dict[str, Any]:
    cluster = info.cluster
    if cluster is None:
        return {"leader": None, "behind": {}}
    return {
        "leader": cluster.leader,
        "behind": {peer.name: peer.lag or 0 for peer in cluster.replicas or [] if peer.name},
    }


async def _announced(bucket: KeyValue) -> list[dict[str, Any]]:
    try:
        names = await bucket.keys()
    except NoKeysError:
        return []
    found = []
    for name in sorted(names):
        try:
            entry = await bucket.get(name)
        except NotFoundError:  # expired meanwhile
            continue
        found.append(json.loads(entry.value or b"{}"))
    return found


def _processes() -> list[str]:
    try:
        return sorted(heartbeats.alive())
    except heartbeats.Unreachable:
        return []


def _database() -> dict[str, Any] | None:
    """Return the role of this node's PostgreSQL under Patroni, if known."""
    if not settings.PATRONI_URL:
        return None
    try:
        members = requests.get(f"{settings.PATRONI_URL}/cluster", timeout=PATRONI_SECONDS).json()["members"]
    except (requests.RequestException, ValueError, KeyError):
        return None
    for member in members:
        if member.get("name") == settings.NODE_ID:
            return {
                "role": member.get("role"),
                "state": member.get("state"),
                "lagBytes": _number(member.get("lag", 0)),
            }
    return None


def _number(lag: object) -> int | None:
    """Return a lag in bytes; Patroni reports "unknown" for a replica being created."""
    return lag if isinstance(lag, int) else None
