"""The journal: the events of one order, and the feed of the events of all.

Events are appended where journeys are saved (`Journey.objects.save_all`) and orders placed
(`Order.objects.place`).
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from database.prepared import execute
from orders.models import OrderEvent


def events_of(order_id: int, *, after: int = 0, limit: int = 1000) -> list[OrderEvent]:
    return list(OrderEvent.objects.filter(order_id=order_id, sequence__gt=after).order_by("sequence")[:limit])


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A reader's position in the feed, inclusive."""

    transaction_id: int = 0
    order_id: int = 0
    sequence: int = 0

    def __str__(self) -> str:
        return f"{self.transaction_id}-{self.order_id}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text of `str`. Raises ValueError."""
        numbers = [int(part) for part in text.split("-") if part.isascii() and part.isdigit()]
        if len(numbers) != 3 or max(numbers) >= 2**63:
            raise ValueError(f"Not a position in the journal: {text[:80]!r}")
        return cls(*numbers)


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event in the feed, with its order's routing data."""

    position: Position
    order_id: int
    sequence: int
    type: str
    progress: int
    data: dict[str, Any]
    at: datetime
    owner_id: int
    customer_name: str
    placed_at: datetime


FOLLOW = """
    SELECT e.transaction_id, e.order_id, e.sequence, e.type, e.progress, e.data::text, e.at,
           o.owner_id, o.customer_name, o.placed_at
    FROM orders_orderevent e JOIN orders_order o ON o.id = e.order_id
    WHERE e.transaction_id >= %(transaction_id)s AND e.transaction_id < %(top)s
      AND (e.transaction_id, e.order_id, e.sequence) > (%(transaction_id)s, %(order_id)s, %(sequence)s)
    ORDER BY e.transaction_id, e.order_id, e.sequence LIMIT %(limit)s
"""
OLDEST_RUNNING = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
# Events are readable once no older transaction can add any. The position follows a stored event: PostgreSQL may
# reuse ids of transactions that left no trace before a crash.
END = """
    SELECT coalesce(max(transaction_id) + 1, 0) FROM orders_orderevent
    WHERE transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
"""

# Transactions per read at first: a reader far behind must not sort all history.
WINDOW = 5_000


def oldest_running() -> int:
    """Return the oldest transaction that may still append events."""
    return _number(OLDEST_RUNNING)


def end() -> Position:
    """Return the position behind all readable events."""
    return Position(transaction_id=_number(END))


def _number(statement: str) -> int:
    ((number,),) = execute(statement)
    return int(number)


def follow(after: Position, *, limit: int = 1000) -> list[FeedEvent]:
    """Return the next events of the feed, in a stable order: none appears behind a read position."""
    last, window, start = end().transaction_id, WINDOW, after
    while start.transaction_id < last:
        top = min(last, start.transaction_id + window)
        found = _read(start, top, limit)
        if found:
            return found
        start, window = Position(transaction_id=top), window * 4
    return []


def _read(start: Position, top: int, limit: int) -> list[FeedEvent]:
    parameters = {
        "transaction_id": start.transaction_id,
        "order_id": start.order_id,
        "sequence": start.sequence,
        "top": top,
        "limit": limit,
    }
    return [_feed_event(row) for row in execute(FOLLOW, parameters)]


def _feed_event(row: tuple[Any, ...]) -> FeedEvent:
    transaction_id, order_id, sequence, type_, progress, data, *facts = row
    return FeedEvent(
        Position(transaction_id, order_id, sequence),
        order_id,
        sequence,
        type_,
        progress,
        json.loads(data),
        *facts,
    )
