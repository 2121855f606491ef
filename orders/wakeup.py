"""Wake-up notifications. Each may be lost, so every receiver also polls."""

import asyncio
import logging
import os
import threading
import time

from channels.layers import get_channel_layer

from database.prepared import execute
from runtime.per_process import per_process

logger = logging.getLogger(__name__)

DUE = "orders_due"  # PostgreSQL channel
JOURNAL = "journal"  # channel layer group

# The caller's next message is more urgent.
AFTER_SECONDS = 0.02


def wake_dispatcher() -> None:
    execute("SELECT pg_notify(%s, '')", [DUE])


def announce_events() -> None:
    """Notify the live servers. Never blocks or raises."""
    _announcer().notify()


class Announcer:
    """A thread that sends coalesced notifications."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._wanted = threading.Event()
        # A daemon without threads of its own never delays exit.
        threading.Thread(target=self._run, name="announcer", daemon=True).start()

    def notify(self) -> None:
        self._wanted.set()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                self._wanted.wait()
                time.sleep(AFTER_SECONDS)
                self._wanted.clear()
                runner.run(_send())


async def _send() -> None:
    layer = get_channel_layer()
    assert layer is not None, "CHANNEL_LAYERS has no default"
    try:
        await asyncio.wait_for(layer.group_send(JOURNAL, {"type": "journal.grown"}), timeout=2)
    except Exception as error:  # noqa: BLE001 - best effort; the live server polls every second
        logger.info("The live servers are not notified: %r", error)
        await asyncio.sleep(0.5)


@per_process
def _announcer() -> Announcer:
    return Announcer()
