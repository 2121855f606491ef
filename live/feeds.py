"""A socket's feed: missed events, then live ones, without gap or repeat.

It subscribes before reading the last missed page; sequence or position removes the overlap.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from live.access import Viewer
from live.close_codes import MORE_TO_REPLAY, NOT_FOUND, Refusal, Refused, bad_request
from live.database_threads import SOCKET_THREADS, ask
from live.hub import HUB, Interest, Subscription
from live.messages import Message, snapshot
from orders import journal, queries
from orders.journal import FeedEvent, Position
from orders.models import Order, OrderEvent
from orders.queries import OrderNotFound, by_reference

PAGE = 500
# Events a connection may scan for missed ones; it continues by reconnecting, so that others get threads.
REPLAY_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Notice:
    """A message outside the journal, such as the state at the join."""

    body: dict[str, Any]


Said = Sequence[Message] | Notice
Close = Callable[[Refusal], None]


# --- One order --------------------------------------------------------------------------------------------


async def order_feed(
    *, viewer: Viewer, reference: str, after: int | None, close: Close
) -> AsyncGenerator[Said, None]:
    """Yield one order's snapshot, or events after `after`; then live events."""
    order = await ask(_order, SOCKET_THREADS, viewer, reference)
    subscription = Subscription(Interest(order_id=order.pk), close=close)
    await HUB.join(subscription)
    try:
        if after is None:
            order, event = await ask(_current_state, SOCKET_THREADS, viewer, order)
            yield Notice(snapshot(order, progress=event.progress, at=event.at))
            last = event.sequence
        else:
            last = min(after, order.journey.sequence)
            async for missed in _missed_events(order, last):
                yield missed
                last = missed[-1].sequence
        while True:
            offered = await subscription.take()
            async for fresh in _in_sequence(offered, order, last):
                yield fresh
                last = fresh[-1].sequence
    finally:
        HUB.leave(subscription)


async def _in_sequence(
    offered: list[Message], order: Order, last: int
) -> AsyncGenerator[list[Message], None]:
    """Drop duplicates; fill gaps from the order's journal."""
    fresh = [message for message in offered if message.sequence > last]
    if [message.sequence for message in fresh] == list(range(last + 1, last + 1 + len(fresh))):
        if fresh:
            yield fresh
        return
    async for missed in _missed_events(order, last):
        yield missed


async def _missed_events(order: Order, last: int) -> AsyncGenerator[list[Message], None]:
    while events := await ask(journal.events_of, SOCKET_THREADS, order.pk, after=last, limit=PAGE):
        yield [Message.of_order_event(event, order) for event in events]
        last = events[-1].sequence


def _order(viewer: Viewer, reference: str) -> Order:
    try:
        order = by_reference(viewer.user, reference)
    except OrderNotFound:
        raise Refused(NOT_FOUND) from None
    if viewer.order_id not in (None, order.pk):
        raise Refused(NOT_FOUND)
    return order


def _current_state(viewer: Viewer, order: Order) -> tuple[Order, OrderEvent]:
    order = _order(viewer, str(order.pk))
    (event,) = journal.events_of(order.pk, after=order.journey.sequence - 1, limit=1)
    return order, event


# --- All orders that a user may see -----------------------------------------------------------------------


async def journal_feed(*, viewer: Viewer, after: Position | None, close: Close) -> AsyncGenerator[Said, None]:
    """Yield the visible events after `after`; then live events."""
    interest = _interest_of(viewer)
    reader = Reader(interest, after)
    # Read most before queueing live events.
    end, oldest_running = await ask(_ends, SOCKET_THREADS)
    if after is not None and after.transaction_id > oldest_running:
        raise bad_request("after= is ahead of the journal.")
    async for missed in reader.read_until(end):
        yield missed
    subscription = Subscription(interest, close=close)
    joined = await HUB.join(subscription)
    try:
        if reader.position is None:
            reader.position = joined
            yield Notice({"type": "Ready", "position": str(joined)})
        async for missed in reader.read_until(joined):
            yield missed
        while True:
            offered = await subscription.take()
            # A reconnecting client may be ahead of this server.
            if fresh := [message for message in offered if message.position > reader.position]:
                yield fresh
    finally:
        HUB.leave(subscription)


def _interest_of(viewer: Viewer) -> Interest:
    if viewer.order_id is not None:
        return Interest(order_id=viewer.order_id)
    return Interest(owner_id=None if viewer.sees_all_orders else viewer.user.pk)


class Reader:
    """Reads missed events. `position` is its progress; None: live events only."""

    def __init__(self, interest: Interest, after: Position | None) -> None:
        self._interest = interest
        self.position = after
        self._read = 0

    async def read_until(self, end: Position) -> AsyncGenerator[Said, None]:
        """Yield relevant events up to `end`, by page."""
        if self.position is None or self.position >= end:
            return
        if not self._read:
            self.position = max(self.position, await ask(_beginning, SOCKET_THREADS, self._interest))
        while self.position < end:
            yield await self._next_page(self.position, end)
            if self._read >= REPLAY_LIMIT:
                yield Notice({"type": "Position", "position": str(self.position)})
                raise Refused(MORE_TO_REPLAY)

    async def _next_page(self, after: Position, end: Position) -> list[Message]:
        if self._interest.order_id is not None:
            self.position = end
            return await ask(_events_between, SOCKET_THREADS, self._interest.order_id, after, end)
        events, canary_owner = await ask(_follow, SOCKET_THREADS, after)
        events = [event for event in events if event.position <= end]
        self._read += len(events)
        self.position = events[-1].position if events else end
        return [Message.of_feed_event(event) for event in events if self._concerns(event, canary_owner)]

    def _concerns(self, event: FeedEvent, canary_owner: int | None) -> bool:
        if self._interest.owner_id is None:
            return event.owner_id != canary_owner
        return event.owner_id == self._interest.owner_id


def _events_between(order_id: int, after: Position, end: Position) -> list[Message]:
    """Read one order's own journal: the tickets of an order must not cost a scan of all orders' events."""
    order = Order.objects.filter(pk=order_id).first()
    if order is None:
        return []
    found, last = list[Message](), 0
    while events := journal.events_of(order_id, after=last, limit=PAGE):
        found += [Message.of_order_event(event, order) for event in events]
        last = events[-1].sequence
    return [message for message in found if after < message.position <= end]


def _ends() -> tuple[Position, int]:
    return journal.end(), journal.oldest_running()


def _follow(after: Position) -> tuple[list[FeedEvent], int | None]:
    return journal.follow(after, limit=PAGE), queries.canary_owner_id()


# Order ids and transaction ids rise nearly together, within this slack.
SLACK = 50_000


def _beginning(interest: Interest) -> Position:
    """Lets `after=0` skip others' history."""
    if interest.owner_id is None:
        return Position()
    if interest.order_id is not None:
        return Position()
    own = Order.objects.filter(owner_id=interest.owner_id).order_by("id")
    first = own.values_list("id", flat=True).first()
    if first is None:
        return Position()
    (event,) = journal.events_of(first, limit=1)
    return Position(max(0, event.transaction_id - SLACK))
