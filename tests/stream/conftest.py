"""A NATS server of our own for these tests, and relays that run beside them."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from django.db import connections
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from cluster.nats_server import NatsServer
from launcher.engines import free_port, running
from live.database_threads import ask
from stream import definition
from stream.connection import connect
from stream.relay import NOTES, Relay
from stream.turn import RELAY_THREAD


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    folder = Path(tempfile.mkdtemp(prefix="nats-"))
    server = NatsServer(
        folder=folder / "nats",
        port=free_port(),
        monitor_port=free_port(),
        users={"orders": "for-these-tests"},
        readers={"reader": "who-only-reads"},
        durable=False,
    )
    with running(server):
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def nats(nats_server: NatsServer, settings) -> AsyncIterator[Client]:
    """A connection to a server on which there is no stream yet."""
    settings.NATS_URL = [f"nats://127.0.0.1:{nats_server.port}"]
    settings.NATS_USER, settings.NATS_PASSWORD = "orders", "for-these-tests"
    settings.STREAM_REPLICAS = 1
    client = await connect(name="test")
    await delete_stream(client)
    yield client
    await client.close()
    await ask(connections.close_all, RELAY_THREAD)


async def delete_stream(client: Client, *, notes: bool = True) -> None:
    """Delete the stream as a lost disk would."""
    for name in (definition.NAME, f"KV_{NOTES}") if notes else (definition.NAME,):
        with suppress(NotFoundError):
            await client.jetstream().delete_stream(name)


@asynccontextmanager
async def relaying(client: Client, relay: Relay | None = None) -> AsyncIterator[Relay]:
    """A relay runs inside the block."""
    relay = relay or Relay(client, asyncio.Event())
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_stored(client: Client, count: int) -> None:
    """Wait until the stream holds so many events."""
    async with asyncio.timeout(20):
        while True:
            with suppress(NotFoundError):
                if (await client.jetstream().stream_info(definition.NAME)).state.messages >= count:
                    return
            await asyncio.sleep(0.02)
