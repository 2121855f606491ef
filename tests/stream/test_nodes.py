"""Nodes find each other; one that is gone disappears, and is named as missing."""

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from monitoring import health, nodes
from runtime.nodes import NotKnown
from runtime.nodes import _client as valkey
from stream import definition
from stream import nodes as announcing
from stream.connection import connect
from stream.nodes import Announcer
from stream.relay import Relay
from tests.notifications.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def bucket(nats, settings, monkeypatch):
    """The bucket is empty; an entry expires after a second."""
    monkeypatch.setattr(announcing, "GONE_SECONDS", 1.0)
    monkeypatch.setattr(announcing, "BEAT_SECONDS", 0.2)
    settings.NODES = ["node-1", "node-2"]
    with suppress(NotFoundError):
        await nats.jetstream().delete_key_value("nodes")
    with valkey() as client:
        client.flushdb()
    return nats


@asynccontextmanager
async def announced(client, settings, name: str):
    settings.NODE_ID = name
    task = asyncio.create_task(Announcer(client, relay=Relay(client, asyncio.Event())).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_known(wanted) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            with suppress(NotKnown):
                if wanted(found := await in_thread(nodes.machines)):
                    return found
            await asyncio.sleep(0.05)


async def test_a_node_is_there_while_it_announces_itself_and_missing_soon_after(bucket, settings) -> None:
    async with announced(bucket, settings, "node-1"):
        found = await until_known(lambda found: found["present"])
        assert ([node["node"] for node in found["present"]], found["missing"]) == (["node-1"], ["node-2"])
        assert (await in_thread(health.nodes_part)).state is health.State.DEGRADED
    async with announced(bucket, settings, "node-2"):
        found = await until_known(lambda found: found["missing"] == ["node-1"])
        assert [node["node"] for node in found["present"]] == ["node-2"]


async def test_they_find_each_other_again_after_all_of_it_was_deleted(bucket, settings) -> None:
    async with announced(bucket, settings, "node-1"):
        await until_known(lambda found: found["present"])
        await bucket.jetstream().delete_key_value("nodes")
        with valkey() as client:
            client.flushdb()
        await until_known(lambda found: found["present"])


def test_outside_a_cluster_there_is_nobody_to_miss(settings) -> None:
    settings.NATS_URL, settings.NODES = [], ["node-1"]
    assert nodes.machines() == {"mode": "standalone", "present": [], "missing": []}
    assert health.nodes_part().state is health.State.HEALTHY


async def test_a_reader_reads_the_stream_and_cannot_write_to_it(nats, settings) -> None:
    await nats.jetstream().add_stream(definition.configuration())
    refusals: list[Exception] = []
    settings.NATS_USER, settings.NATS_PASSWORD = "reader", "who-only-reads"
    reader = await connect(name="reader")
    reader._error_cb = lambda error: refusals.append(error) or asyncio.sleep(0)  # type: ignore[func-returns-value]
    try:
        assert (await reader.jetstream().stream_info(definition.NAME)).config.name == definition.NAME
        headers = {"Nats-Expected-Last-Msg-Id": "wrong"}
        with pytest.raises((NatsError, TimeoutError)):
            await reader.request("orders.1.1.made_up", b"{}", timeout=0.5, headers=headers)
        assert (await nats.jetstream().stream_info(definition.NAME)).state.messages == 0
        assert "permissions violation" in str(refusals[0]).lower()
    finally:
        await reader.close()
