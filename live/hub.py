"""The hub of a server process: reads the journal once for all its sockets.

The channel layer only wakes it up. The hub keeps its own position: a late, lost or repeated wake-up changes
when it reads, never what.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import Error as DatabaseFailure

from live.close_codes import TOO_SLOW, Refusal
from live.database_threads import JOURNAL_THREAD, ask
from live.messages import Message
from live.traces import OrderTraces
from orders import journal, queries
from orders.journal import FeedEvent, Position
from orders.wakeup import JOURNAL

logger = logging.getLogger(__name__)

# Well below a socket's queue limit, or one page could close it.
PAGE = settings.LIVE_QUEUE_LIMIT // 4
# Poll pauses double after a wake-up: events become visible when older transactions end, without another
# wake-up.
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Interest:
    """A socket's filter; by default everything."""

    order_id: int | None = None
    owner_id: int | None = None


class Subscription:
    """A socket's queue. When full, the socket closes; the hub never blocks."""

    __slots__ = ("_close", "_limit", "_ready", "_waiting", "interest")

    def __init__(self, interest: Interest, *, close: Callable[[Refusal], None]) -> None:
        self.interest = interest
        self._close, self._limit = close, settings.LIVE_QUEUE_LIMIT
        self._waiting: list[Message] = []
        self._ready = asyncio.Event()

    def offer(self, message: Message) -> None:
        if len(self._waiting) >= self._limit:
            self._waiting = []
            self._close(TOO_SLOW)
            return
        self._waiting.append(message)
        self._ready.set()

    async def take(self) -> list[Message]:
        await self._ready.wait()
        self._ready.clear()
        taken, self._waiting = self._waiting, []
        return taken


@dataclass(frozen=True, slots=True)
class Page:
    """A page and the position after it. No events: the end for now."""

    events: list[FeedEvent]
    end: Position
    canary_owner: int | None = None


class Hub:
    """Subscriptions, and a reader while there are any."""

    def __init__(self) -> None:
        self._everything: set[Subscription] = set()
        self._by_order: defaultdict[int, set[Subscription]] = defaultdict(set)
        self._by_owner: defaultdict[int, set[Subscription]] = defaultdict(set)
        self._position: Position | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._hint = asyncio.Event()
        self._traces = OrderTraces()

    async def join(self, subscription: Subscription) -> Position:
        """Subscribe. Exactly the events after the returned position follow.

        Raises DatabaseFailure.
        """
        if self._position is None:
            found = await ask(journal.end, JOURNAL_THREAD)
            # Another socket may have set it meanwhile; do not skip its events.
            self._position = self._position or found
        self._set_for(subscription.interest).add(subscription)
        self._start()
        return self._position

    def leave(self, subscription: Subscription) -> None:
        interest = subscription.interest
        self._set_for(interest).discard(subscription)
        if interest.order_id is not None and not self._by_order[interest.order_id]:
            del self._by_order[interest.order_id]
        if interest.owner_id is not None and not self._by_owner[interest.owner_id]:
            del self._by_owner[interest.owner_id]
        if not (self._everything or self._by_order or self._by_owner):
            self._stop()

    def _set_for(self, interest: Interest) -> set[Subscription]:
        if interest.order_id is not None:
            return self._by_order[interest.order_id]
        return self._everything if interest.owner_id is None else self._by_owner[interest.owner_id]

    # --- The reader ----------------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._tasks:
            self._hint = asyncio.Event()
            self._tasks = [asyncio.create_task(self._read_forever()), asyncio.create_task(self._listen())]

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks, self._position = [], None

    async def _read_forever(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._catch_up()
            except DatabaseFailure as error:
                logger.warning("The live feed cannot read the journal; retrying: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            # Caps the read rate.
            await asyncio.sleep(FIRST_PAUSE)
            pause = FIRST_PAUSE if await self._wait_for_hint(within=pause) else min(LONGEST_PAUSE, pause * 2)

    async def _wait_for_hint(self, *, within: float) -> bool:
        with suppress(TimeoutError):
            # Not `wait_for`: before Python 3.12 it may lose a cancellation and leak the reader.
            async with asyncio.timeout(within):
                await self._hint.wait()
        hinted = self._hint.is_set()
        self._hint.clear()
        return hinted

    async def _catch_up(self) -> None:
        at_end = False
        while self._position is not None and not at_end:
            at_end = self._hand_out(await ask(_next_page, JOURNAL_THREAD, self._position))
            await asyncio.sleep(0)  # let the sockets send first

    def _hand_out(self, page: Page) -> bool:
        """Must not await: a join is before or after the page."""
        for event in page.events:
            concerned = self._concerned(event, canary_owner=page.canary_owner)
            with self._traces.telling(event, sockets=len(concerned)):
                _offer(event, concerned)
        self._position = page.end
        return not page.events

    def _concerned(self, event: FeedEvent, *, canary_owner: int | None) -> list[Subscription]:
        order = self._by_order.get(event.order_id, ())
        owner = self._by_owner.get(event.owner_id, ())
        # Canaries are hidden from the full feed.
        everything = () if event.owner_id == canary_owner else self._everything
        return [*order, *owner, *everything]

    # --- The wake-up call ----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pause = RETRY_SECONDS
        while True:
            try:
                await self._listen_once()
            except Exception as error:  # noqa: BLE001 - whatever fails, the reader still polls
                logger.warning("No wake-ups from the channel layer, polling every second: %r", error)
                await asyncio.sleep(pause)
                pause = min(LONGEST_RETRY_SECONDS, pause * 2)

    async def _listen_once(self) -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        try:
            await layer.group_add(JOURNAL, channel)
            self._hint.set()  # wake-ups before the subscription
            while True:
                with suppress(ValueError):  # whatever it contains, it is a wake-up
                    await layer.receive(channel)
                self._hint.set()
        finally:
            with suppress(Exception):
                await layer.group_discard(JOURNAL, channel)


def _offer(event: FeedEvent, concerned: list[Subscription]) -> None:
    if concerned:
        message = Message.of_feed_event(event)
        for subscription in concerned:
            subscription.offer(message)


def _next_page(after: Position) -> Page:
    # Read the end first: the next poll finds later commits.
    end = journal.end()
    if end <= after:
        return Page([], after)
    events = journal.follow(after, limit=PAGE)
    return Page(events, events[-1].position if events else end, queries.canary_owner_id())


HUB = Hub()
