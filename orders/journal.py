"""The journal: locks journeys, saves them with their events, and reads the feed of all events."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from database.arrays import Column, document, numbers, rows
from database.prepared import execute
from orders.managers import CurrentTransaction
from orders.models import OrderEvent
from orders.workflow import Event, JourneyState, Leg, Status

# Hot path: calling the enumerations is slower.
STATUSES = {status.value: status for status in Status}
LEGS = {leg.value: leg for leg in Leg}

COLUMNS = (
    "order_id, status, sequence, batch_id, attempts, stock, shipping, payment, shipping_amount,"
    " outcome, reason, completion_requested, waiting_for, attention, due_at IS NOT NULL"
)

LOCK = f"SELECT {COLUMNS} FROM orders_journey WHERE order_id = ANY(%s::bigint[]) ORDER BY order_id FOR UPDATE"  # noqa: S608
LOCK_BATCH = LOCK.replace("ORDER BY", "AND batch_id = %s ORDER BY")
LOCK_DUE = f"""
    SELECT {COLUMNS} FROM orders_journey
    WHERE due_at <= now() ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
"""  # noqa: S608

ARE_DUE = "SELECT count(*) = %s FROM (SELECT FROM orders_journey WHERE due_at <= now() LIMIT %s) due"

SAVE = """
    WITH saved AS (
        UPDATE orders_journey j SET
            status = c.status, sequence = c.sequence, batch_id = c.batch_id, attempts = c.attempts,
            stock = c.stock, shipping = c.shipping, payment = c.payment, shipping_amount = c.shipping_amount,
            outcome = c.outcome, reason = c.reason, completion_requested = c.completion_requested,
            waiting_for = c.waiting_for, attention = c.attention,
            due_at = CASE WHEN c.reschedule THEN now() + c.due_in * interval '1 second' ELSE j.due_at END,
            finished_at = CASE
                WHEN c.status IN ('pending', 'processing', 'cancelling') THEN NULL
                WHEN c.status = j.status THEN j.finished_at
                ELSE now() END
        FROM {changed} c WHERE j.order_id = c.order_id
    )
    INSERT INTO orders_orderevent (order_id, sequence, type, progress, data, transaction_id)
    SELECT e.order_id, e.sequence, e.type, e.progress, e.data, (SELECT {number}) FROM {events} e
"""
# Once per statement; the column's default runs per event.
SAVE = SAVE.replace("{number}", CurrentTransaction.template)


def lock(order_ids: Sequence[int]) -> list[JourneyState]:
    """Lock the known journeys, in id order against deadlocks."""
    return _states(LOCK, [numbers(order_ids)])


def lock_batch(order_ids: Sequence[int], *, batch_id: int) -> list[JourneyState]:
    """Lock journeys still in the batch: a late worker gets none."""
    return _states(LOCK_BATCH, [numbers(order_ids), batch_id])


def lock_due(limit: int) -> list[JourneyState]:
    """Lock up to `limit` due journeys, skipping locked ones."""
    return _states(LOCK_DUE, [limit])


def are_due(count: int) -> bool:
    """Return whether at least `count` journeys are due."""
    ((answer,),) = execute(ARE_DUE, [count, count])
    return bool(answer)


def _states(statement: str, parameters: list[Any]) -> list[JourneyState]:
    return [
        JourneyState(
            order_id,
            STATUSES[status],
            sequence,
            batch_id,
            attempts,
            LEGS[stock],
            LEGS[shipping],
            LEGS[payment],
            *rest,
        )
        for order_id, status, sequence, batch_id, attempts, stock, shipping, payment, *rest in execute(
            statement, parameters
        )
    ]


def save(states: Iterable[JourneyState]) -> None:
    """Save locked journeys and append their events."""
    states = list(states)
    if not states:
        return
    changed, new_values = rows(_journey_columns(states))
    events, new_events = rows(_event_columns([event for state in states for event in state.events]))
    execute(SAVE.format(changed=changed, events=events), new_values + new_events)
    for state in states:
        state.events.clear()


def _journey_columns(states: Sequence[JourneyState]) -> dict[str, Column]:
    return {
        "order_id": ("bigint", [s.order_id for s in states]),
        "status": ("text", [s.status for s in states]),
        "sequence": ("int", [s.sequence for s in states]),
        "batch_id": ("bigint", [s.batch_id for s in states]),
        "attempts": ("smallint", [s.attempts for s in states]),
        "stock": ("text", [s.stock for s in states]),
        "shipping": ("text", [s.shipping for s in states]),
        "payment": ("text", [s.payment for s in states]),
        "shipping_amount": ("numeric", [s.shipping_amount for s in states]),
        "outcome": ("text", [s.outcome for s in states]),
        "reason": ("text", [s.reason for s in states]),
        "completion_requested": ("bool", [s.completion_requested for s in states]),
        "waiting_for": ("text", [s.waiting_for for s in states]),
        "attention": ("text", [s.attention for s in states]),
        "reschedule": ("bool", [s.reschedule for s in states]),
        "due_in": ("float8", [s.due_in for s in states]),
    }


def _event_columns(events: Sequence[Event]) -> dict[str, Column]:
    return {
        "order_id": ("bigint", [e.order_id for e in events]),
        "sequence": ("int", [e.sequence for e in events]),
        "type": ("text", [e.type for e in events]),
        "progress": ("smallint", [e.progress for e in events]),
        "data": ("jsonb", [document(e.data) if e.data else "{}" for e in events]),
    }


# --- Reading ----------------------------------------------------------------------------------------------


def events_of(order_id: int, *, after: int = 0, limit: int = 1000) -> list[OrderEvent]:
    """Return an order's events after a sequence, in order."""
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
