"""`manage.py relay`: a node's relay, hints and announcements on one connection."""

import asyncio
import logging

from django.conf import settings
from nats.errors import Error as NatsError

from runtime import heartbeats
from stream.connection import connect
from stream.hints import Bridge
from stream.nodes import Announcer
from stream.relay import Relay

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
BEAT_SECONDS = 2.0


async def serve() -> None:
    """Run until cancelled; retry while no NATS server answers."""
    while True:
        try:
            client = await connect(name=f"{settings.NODE_ID} relay")
        except (NatsError, OSError, TimeoutError) as error:
            logger.warning("NATS does not answer: %r", error)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        hint = asyncio.Event()
        relay = Relay(client, hint)
        announcer = Announcer(client, relay=relay)
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (relay, Bridge(client, hint), announcer):
                    tasks.create_task(work.run())
                tasks.create_task(_beat())
        finally:
            await client.close()


async def _beat() -> None:
    while True:
        heartbeats.beat("relay")
        await asyncio.sleep(BEAT_SECONDS)
