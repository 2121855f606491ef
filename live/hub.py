"""One per server process: reads the journal once for all its sockets, and hands each what concerns it.

The channel layer is only the wake-up call. The hub keeps its own place in the journal, so a call that is
late, lost or repeated changes when it looks and never what it finds.
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
from orders import canary_account, journal
from orders.journal import FeedEvent, Position
from orders.wakeup import JOURNAL

logger = logging.getLogger(__name__)

# Events read at once: well below what may wait for one socket, or a single page could close it.
PAGE = settings.LIVE_QUEUE_LIMIT // 4
# After a wake-up the hub looks at once, then again after so many seconds, twice as many, and so on: an event
# may only be told once no older transaction can add any, and that one's end rings no bell.
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Interest:
    """What a socket wants to hear of: one order, an owner's orders, or (neither given) everything."""

    order_id: int | None = None
    owner_id: int | None = None


class Subscription:
    """The messages that one socket has not taken yet. Nobody waits for it: if it is full, the socket goes."""

    __slots__ = ("_close", "_limit", "_ready", "_waiting", "interest")

    def __init__(self, interest: Interest, *, close: Callable[[Refusal], None]) -> None:
        self.interest = interest
        self._close, self._limit = close, settings.LIVE_QUEUE_LIMIT
        self._waiting: list[Message] = []
        self._ready = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Add a message, or close a socket that does not keep up."""
        if len(self._waiting) >= self._limit:
            self._waiting = []
            self._close(TOO_SLOW)
            return
        self._waiting.append(message)
        self._ready.set()

    async def take(self) -> list[Message]:
        """Wait for messages, and return all there are."""
        await self._ready.wait()
        self._ready.clear()
        taken, self._waiting = self._waiting, []
        return taken


@dataclass(frozen=True, slots=True)
class Page:
    """Events read at once, and where the reader stands after them. Without events: that is all for now."""

    events: list[FeedEvent]
    end: Position
    canary_owner: int | None = None


class Hub:
    """The subscriptions of a process, and the reader that runs while there are any."""

    def __init__(self) -> None:
        self._everything: set[Subscription] = set()
        self._by_order: defaultdict[int, set[Subscription]] = defaultdict(set)
        self._by_owner: defaultdict[int, set[Subscription]] = defaultdict(set)
        self._position: Position | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._hint = asyncio.Event()
        self._traces = OrderTraces()

    async def join(self, subscription: Subscription) -> Position:
        """Subscribe. Every event after the returned position will be offered, and none before.

        Raises DatabaseFailure when the journal cannot be read to begin with.
        """
        if self._position is None:
            found = await ask(journal.end, JOURNAL_THREAD)
            # Another socket may have been faster; the hub must not jump over what it has still to hand out.
            self._position = self._position or found
        self._set_for(subscription.interest).add(subscription)
        self._start()
        return self._position

    def leave(self, subscription: Subscription) -> None:
        """Unsubscribe. With the last subscription the reader goes to rest."""
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
            self._tasks = [asyncio.create_task(self._read_on()), asyncio.create_task(self._listen())]

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks, self._position = [], None

    async def _read_on(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._catch_up()
            except DatabaseFailure as error:
                logger.warning("The live feed cannot read the journal; it goes on trying: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            # However many hints come in, this is how often the journal is read at most.
            await asyncio.sleep(FIRST_PAUSE)
            pause = FIRST_PAUSE if await self._hinted(within=pause) else min(LONGEST_PAUSE, pause * 2)

    async def _hinted(self, *, within: float) -> bool:
        with suppress(TimeoutError):
            # Not `wait_for`: before Python 3.12 it may lose a cancellation, and the reader would live on.
            async with asyncio.timeout(within):
                await self._hint.wait()
        hinted = self._hint.is_set()
        self._hint.clear()
        return hinted

    async def _catch_up(self) -> None:
        at_end = False
        while self._position is not None and not at_end:
            at_end = self._hand_out(await ask(_next_page, JOURNAL_THREAD, self._position))
            await asyncio.sleep(0)  # the sockets send what they got before the next page comes

    def _hand_out(self, page: Page) -> bool:
        """Offer a page's events and move on, in one go: whoever joins is either before it or after it."""
        for event in page.events:
            concerned = self._concerned(event, canary_owner=page.canary_owner)
            with self._traces.telling(event, sockets=len(concerned)):
                _offer(event, concerned)
        self._position = page.end
        return not page.events

    def _concerned(self, event: FeedEvent, *, canary_owner: int | None) -> list[Subscription]:
        order = self._by_order.get(event.order_id, ())
        owner = self._by_owner.get(event.owner_id, ())
        # Who listens to everything wants to hear of customers; a canary is told to who asks for it by number.
        everything = () if event.owner_id == canary_owner else self._everything
        return [*order, *owner, *everything]

    # --- The wake-up call ----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        pause = RETRY_SECONDS
        while True:
            try:
                await self._listen_once()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the reader looks by itself
                logger.warning("No hints from the channel layer, looking every second: %r", error)
                await asyncio.sleep(pause)
                pause = min(LONGEST_RETRY_SECONDS, pause * 2)

    async def _listen_once(self) -> None:
        layer: Any = get_channel_layer()
        channel = await layer.new_channel()
        try:
            await layer.group_add(JOURNAL, channel)
            self._hint.set()  # what was announced before we could hear it
            while True:
                with suppress(ValueError):  # whatever it contains, it is a hint
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
    # Asked before looking: what ends later is found by the next look.
    end = journal.end()
    if end <= after:
        return Page([], after)
    events = journal.follow(after, limit=PAGE)
    return Page(events, events[-1].position if events else end, canary_account.owner_id())


HUB = Hub()
