"""Wake-up calls. Each may be lost: whoever is woken by one looks for himself, and looks now and then anyway."""

import asyncio
import logging
import os
import threading
import time

from channels.layers import get_channel_layer

from database.prepared import execute

logger = logging.getLogger(__name__)

DUE = "orders_due"  # PostgreSQL channel: an order is due now
JOURNAL = "journal"  # channel layer group: the journal has grown

# Who announces is about to send his order's next message, for which somebody waits more than for the news.
AFTER_SECONDS = 0.02


def wake_dispatcher() -> None:
    """Tell the dispatchers, once the transaction commits, that there is something due."""
    execute("SELECT pg_notify(%s, '')", [DUE])


def announce_events() -> None:
    """Tell the live servers that the journal has grown. Never waits and never fails, whatever the broker does."""
    _announcer().notify()


class Announcer:
    """A thread that sends hints: one under way, and at most one waiting.

    Nothing but that it is woken happens at once: whoever woke it needs the interpreter for the order's next message.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._wanted = threading.Event()
        # A daemon, and nothing it waits for is a thread: it never holds up the end of its process.
        threading.Thread(target=self._run, name="announcer", daemon=True).start()

    def notify(self) -> None:
        """Ask for a hint to be sent; hints asked for meanwhile become one."""
        self._wanted.set()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            while True:
                self._wanted.wait()
                time.sleep(AFTER_SECONDS)
                self._wanted.clear()
                runner.run(_send_hint())


async def _send_hint() -> None:
    layer = get_channel_layer()
    assert layer is not None, "CHANNEL_LAYERS has no default"
    try:
        await asyncio.wait_for(layer.group_send(JOURNAL, {"type": "journal.grown"}), timeout=2)
    except Exception as error:  # noqa: BLE001 - a courtesy; the live server looks every second anyway
        logger.info("No hint to the live servers: %r", error)
        await asyncio.sleep(0.5)


_lock = threading.Lock()
_current: Announcer | None = None


def _announcer() -> Announcer:
    """Return this process's announcer: threads do not survive a fork, so a child makes its own."""
    global _current  # noqa: PLW0603
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = Announcer()
        return _current
