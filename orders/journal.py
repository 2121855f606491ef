"""The journal: locks journeys, saves them with their events, and reads the feed of all events."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, Self

from database.arrays import Column, document, numbers, rows
from database.prepared import Parameters, execute
from orders import legs
from orders.leg_types import Wait
from orders.managers import BULK_LANES, CurrentTransaction
from orders.models import OrderEvent
from orders.status import Status
from orders.workflow import Event, JourneyState

# `lock` reads the fields of JourneyState by name, `save` writes what `_journey_columns` returns.
FIELDS = [each.name for each in fields(JourneyState) if each.init]
READ_AS = {"is_due": "due_at IS NOT NULL", "wait": "waiting_for"}
COLUMNS = ", ".join(READ_AS.get(name, name) for name in FIELDS)
NAMED_COLUMNS = ", ".join(f"{READ_AS.get(name, name)} AS {name}" for name in FIELDS)


class _Waits(dict[str, Wait | None]):
    """Waits that only the column records: others are in a leg's state, or of a newer release."""

    def __missing__(self, code: str) -> None:
        return None


# Hot path: calling the enumerations is slower.
OBJECTS: dict[str, Mapping[str, Any]] = {
    "status": {status.value: status for status in Status},
    "wait": _Waits(legs.WAITS_OF_NO_STATE),
    **{leg.name: leg.states for leg in legs.LEGS},
}
OBJECTS_AT = [(FIELDS.index(name), objects) for name, objects in OBJECTS.items()]

LOCK = f"SELECT {COLUMNS} FROM orders_journey WHERE order_id = ANY(%s::bigint[]) ORDER BY order_id FOR UPDATE"  # noqa: S608
LOCK_BATCH = LOCK.replace("ORDER BY", "AND batch_id = %s ORDER BY")
# Round robin over the lanes: each gives up to a level at which together they fill the batch, so that few orders are
# locked in vain. PostgreSQL pulls rows of the inner limit, which it can plan with, only up to the outer one.
LOCK_DUE = f"""
    WITH lanes AS MATERIALIZED (
        SELECT lane, due FROM generate_series(0, {BULK_LANES}) AS numbers (lane) CROSS JOIN LATERAL (
            SELECT count(*) AS due FROM (
                SELECT FROM orders_journey j WHERE j.lane = numbers.lane AND due_at <= now() LIMIT %(limit)s::int
            ) first
        ) counted WHERE due > 0
    ), level AS MATERIALIZED (
        SELECT max((%(limit)s::int - in_smaller + larger - 1) / larger)::bigint AS most FROM (
            SELECT coalesce(sum(due) OVER (ORDER BY due, lane ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW), 0)::bigint
                       AS in_smaller,
                   count(*) OVER () + 1 - row_number() OVER (ORDER BY due, lane) AS larger
            FROM lanes
        ) filled
    )
    SELECT {", ".join(FIELDS)} FROM lanes CROSS JOIN LATERAL (
        SELECT first.*, row_number() OVER () AS turn FROM (
            SELECT {NAMED_COLUMNS} FROM orders_journey j
            WHERE j.lane = lanes.lane AND due_at <= now() ORDER BY due_at LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED
        ) first LIMIT (SELECT most FROM level)
    ) of_lane ORDER BY turn, lane LIMIT %(limit)s::int
"""  # noqa: S608

ARE_DUE = "SELECT count(*) = %s FROM (SELECT FROM orders_journey WHERE due_at <= now() LIMIT %s) due"

SAVE = """
    WITH saved AS (
        UPDATE orders_journey j SET {columns},
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


def lock(order_ids: Sequence[int]) -> list[JourneyState]:
    """Lock the known journeys, in id order against deadlocks."""
    return _states(LOCK, [numbers(order_ids)])


def lock_batch(order_ids: Sequence[int], *, batch_id: int) -> list[JourneyState]:
    """Lock journeys still in the batch: a late worker gets none."""
    return _states(LOCK_BATCH, [numbers(order_ids), batch_id])


def lock_due(limit: int) -> list[JourneyState]:
    """Lock up to `limit` due journeys, of each lane in turn, skipping locked ones."""
    return _states(LOCK_DUE, {"limit": limit})


def are_due(count: int) -> bool:
    """Return whether at least `count` journeys are due."""
    ((answer,),) = execute(ARE_DUE, [count, count])
    return bool(answer)


def _states(statement: str, parameters: Parameters) -> list[JourneyState]:
    return [_state(list(row)) for row in execute(statement, parameters)]


def _state(values: list[Any]) -> JourneyState:
    for place, objects in OBJECTS_AT:
        values[place] = objects[values[place]]
    return JourneyState(*values)


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


LEG_GETTERS = [(name, attrgetter(name)) for name in legs.NAMES]


def _journey_columns(states: Sequence[JourneyState]) -> dict[str, Column]:
    return {
        "order_id": ("bigint", [s.order_id for s in states]),
        "status": ("text", [s.status for s in states]),
        "sequence": ("int", [s.sequence for s in states]),
        "batch_id": ("bigint", [s.batch_id for s in states]),
        "attempts": ("smallint", [s.attempts for s in states]),
        **{name: ("text", list(map(get, states))) for name, get in LEG_GETTERS},
        "shipping_amount": ("numeric", [s.shipping_amount for s in states]),
        "outcome": ("text", [s.outcome for s in states]),
        "reason": ("text", [s.reason for s in states]),
        "completion_requested": ("bool", [s.completion_requested for s in states]),
        "waiting_for": ("text", _waits(states)),
        "attention": ("text", [s.attention for s in states]),
        "reschedule": ("bool", [s.reschedule for s in states]),
        "due_in": ("float8", [s.due_in for s in states]),
    }


def _waits(states: Sequence[JourneyState]) -> list[str]:
    # Hot path: nearly always no leg waits.
    is_waiting = any(
        not legs.WAITING_STATES.isdisjoint(map(get, states))
        for name, get in LEG_GETTERS
        if name in legs.NAMES_THAT_WAIT
    )
    return [s.waiting_for if is_waiting else s.wait or "" for s in states]


def _event_columns(events: Sequence[Event]) -> dict[str, Column]:
    return {
        "order_id": ("bigint", [e.order_id for e in events]),
        "sequence": ("int", [e.sequence for e in events]),
        "type": ("text", [e.type for e in events]),
        "progress": ("smallint", [e.progress for e in events]),
        "data": ("jsonb", [document(e.data) if e.data else "{}" for e in events]),
    }


SAVED = [name for name in _journey_columns([]) if name not in ("order_id", "reschedule", "due_in")]
# The transaction's number once per statement; the column's default runs per event.
SAVE = SAVE.replace("{number}", CurrentTransaction.template).replace(
    "{columns}", ", ".join(f"{name} = c.{name}" for name in SAVED)
)

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
