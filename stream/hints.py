"""Forwards hints of journal growth between the nodes' channel layers; best effort."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from nats.aio.client import Client
from nats.aio.msg import Msg

from orders.wakeup import JOURNAL

logger = logging.getLogger(__name__)

SUBJECT = "hints.journal"
PAUSE_SECONDS = 0.05
RETRY_SECONDS = 1.0


class Bridge:
    """Forwards hints between this node and the others; any hint sets `hint`."""

    def __init__(self, client: Client, hint: asyncio.Event) -> None:
        self._client, self._hint = client, hint

    async def run(self) -> None:
        await self._client.subscribe(SUBJECT, cb=self._from_others)
        while True:
            try:
                await self._to_others()
            except Exception as error:  # noqa: BLE001 - best effort: readers poll too
                logger.info("Cannot send hints to other nodes: %r", error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _to_others(self) -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        try:
            await layer.group_add(JOURNAL, channel)
            while True:
                message = await layer.receive(channel)
                self._hint.set()
                if "node" not in message:  # else it came from another node
                    await self._client.publish(SUBJECT, settings.NODE_ID.encode())
                    await asyncio.sleep(PAUSE_SECONDS)
        finally:
            with suppress(Exception):
                await layer.group_discard(JOURNAL, channel)

    async def _from_others(self, message: Msg) -> None:
        node = message.data.decode(errors="replace")
        if node == settings.NODE_ID:
            return
        self._hint.set()
        layer: Any = get_channel_layer()
        with suppress(Exception):
            async with asyncio.timeout(1):
                await layer.group_send(JOURNAL, {"type": "journal.grown", "node": node})
