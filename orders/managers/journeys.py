"""Journeys: locked, saved with their events, and rescheduled. The only door to their table.

Locks are taken in id order against deadlocks, or skipped. Reports may read the table themselves.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db import connection, models

from database.arrays import Column, document, numbers, rows
from database.prepared import Parameters, execute
from orders import legs
from orders.managers.transactions import CurrentTransaction
from orders.rules.leg_types import Wait
from orders.rules.schedule import LIVE_LANE
from orders.status import Status
from orders.workflow import Event, JourneyState

# Lanes of the dispatcher's queue, which a claim serves in turn: one of single orders, and of each bulk owner one.
BULK_LANES = 15
BULK_LANE = f"1 + mod(owner_id, {BULK_LANES})"

# `lock` reads the fields of JourneyState by name, `save_all` writes what `_journey_columns` returns.
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
    "wait": _Waits({"": None, **legs.WAITS_OF_NO_STATE}),
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
    SELECT {", ".join(f"of_lane.{name}" for name in FIELDS)} FROM lanes CROSS JOIN LATERAL (
        SELECT first.*, row_number() OVER () AS turn FROM (
            SELECT {NAMED_COLUMNS} FROM orders_journey j
            WHERE j.lane = lanes.lane AND due_at <= now() ORDER BY due_at LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED
        ) first LIMIT (SELECT most FROM level)
    ) of_lane ORDER BY turn, lanes.lane LIMIT %(limit)s::int
"""  # noqa: S608

LOCK_LIVE = LOCK_DUE.replace(f"generate_series(0, {BULK_LANES})", f"(VALUES ({LIVE_LANE}))")

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

# Parts of the statements that place and archive whole orders. `wanted` has the orders, with their ids.
INSERT = """INSERT INTO orders_journey (order_id, due_at, lane, {columns})
        SELECT id, CASE WHEN NOT held THEN now() END, {lane}, {defaults} FROM wanted"""
DELETE = "DELETE FROM orders_journey WHERE order_id = ANY(%(ids)s::bigint[]) RETURNING *"

# --- Rescheduling, without an event -----------------------------------------------------------------------

# Orders whose calls are under way belong to no batch; a due one may be claimed already.
RESCHEDULE_CALLS = """
    WITH under_way AS (
        SELECT order_id FROM orders_journey
        WHERE order_id = ANY(%s::bigint[]) AND batch_id IS NULL AND status = 'processing' AND due_at > now()
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    )
    UPDATE orders_journey j SET due_at = {due_at} FROM under_way WHERE j.order_id = under_way.order_id
"""
RELEASE_CALLS = RESCHEDULE_CALLS.format(due_at="now()")
RENEW_CALLS = RESCHEDULE_CALLS.format(due_at="greatest(j.due_at, now() + %s::float8 * interval '1 second')")

RESUME = """
    WITH parked AS (
        SELECT order_id FROM orders_journey
        WHERE due_at > now() AND batch_id IS NULL AND waiting_for = ANY(%s) FOR UPDATE SKIP LOCKED
    ), turns AS (
        SELECT order_id, row_number() OVER (ORDER BY order_id) - 1 AS turn FROM parked
    )
    UPDATE orders_journey j SET due_at = least(j.due_at, now() + turn / %s::float8 * interval '1 second')
    FROM turns WHERE j.order_id = turns.order_id
"""

WAKE = """
    UPDATE orders_journey j SET due_at = now() FROM (
        SELECT order_id FROM orders_journey
        WHERE order_id = ANY(%s::bigint[]) AND stock = 'short' AND batch_id IS NULL AND due_at > now()
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    ) asleep WHERE j.order_id = asleep.order_id
"""

BRING_FORWARD = """
    UPDATE orders_journey SET due_at = now() WHERE order_id IN (
        SELECT order_id FROM orders_journey
        WHERE due_at > now() + (CASE WHEN waiting_for = ANY(%s) THEN 86400 ELSE %s END) * interval '1 second'
        LIMIT %s FOR UPDATE SKIP LOCKED
    )
"""

# --- Maintenance ------------------------------------------------------------------------------------------

# Age of the event that led to the state.
OVERDUE = """
    SELECT order_id FROM orders_journey j
    WHERE status = %s AND due_at IS NOT NULL AND attention = '' AND (waiting_for = ANY(%s)) = %s AND (
        SELECT at FROM orders_orderevent e
        WHERE e.order_id = j.order_id AND type = ANY(%s) ORDER BY sequence DESC LIMIT 1
    ) < now() - %s * interval '1 second'
    LIMIT %s
"""

# Orders that staff capture, by the age of their authorization. Reads the table: it is rare, and an index would have
# PostgreSQL write to all of them for each order that is paid.
HELD_FOR = """
    SELECT j.order_id FROM orders_journey j JOIN payments_transaction t ON t.order_id = j.order_id AND t.number = 1
    WHERE j.payment = 'held' AND j.status IN ('confirmed', 'completed') AND (j.attention = '' OR NOT %s)
      AND t.gateway = %s AND t.state = 'succeeded' AND t.finished_at <= now() - %s * interval '1 second'
    LIMIT %s
"""

# Orders that hold units, have an unknown or recent payment, are not captured yet, owe a refund or need attention stay.
LOCK_ARCHIVABLE = """
    SELECT order_id FROM orders_journey j
    WHERE order_id = ANY(%s::bigint[]) AND status IN ('completed', 'cancelled', 'rejected')
      AND finished_at < %s AND due_at IS NULL AND attention = '' AND payment NOT IN ('refunding', 'held', 'moving')
      AND NOT EXISTS (SELECT FROM inventory_reservation r WHERE r.order_id = j.order_id)
      AND NOT EXISTS (SELECT FROM payments_transaction t WHERE t.order_id = j.order_id
                      AND (t.state = 'unknown' OR t.finished_at >= %s))
    ORDER BY order_id FOR UPDATE SKIP LOCKED
"""


class JourneyManager(models.Manager):
    """Journeys. `lock…` and `save_all` belong in one transaction."""

    def lock(self, order_ids: Sequence[int]) -> list[JourneyState]:
        return _states(LOCK, [numbers(order_ids)])

    def lock_batch(self, order_ids: Sequence[int], *, batch_id: int) -> list[JourneyState]:
        """Lock journeys still in the batch: a late worker gets none."""
        return _states(LOCK_BATCH, [numbers(order_ids), batch_id])

    def lock_due(self, limit: int, *, only_live: bool = False) -> list[JourneyState]:
        """Lock up to `limit` due journeys, of each lane in turn or of single orders only, skipping locked ones."""
        return _states(LOCK_LIVE if only_live else LOCK_DUE, {"limit": limit})

    def are_due(self, count: int) -> bool:
        ((answer,),) = execute(ARE_DUE, [count, count])
        return bool(answer)

    def save_all(self, states: Iterable[JourneyState]) -> None:
        states = list(states)
        if not states:
            return
        changed, new_values = rows(_journey_columns(states))
        events, new_events = rows(_event_columns([event for state in states for event in state.events]))
        execute(SAVE.format(changed=changed, events=events), new_values + new_events)
        for state in states:
            state.events.clear()

    def renew_calls(self, order_ids: Iterable[int], *, lease: float) -> None:
        """Extend the leases of orders whose calls are under way to `lease` seconds from now."""
        execute(RENEW_CALLS, [numbers(order_ids), lease])

    def release_calls(self, order_ids: Iterable[int]) -> None:
        execute(RELEASE_CALLS, [numbers(order_ids)])

    def resume_waiting(self, waits: Sequence[str], *, per_second: float) -> int:
        """Make the orders due that wait for one of these, oldest first, so many per second. Return how many."""
        return _count(RESUME, [waits, per_second])

    def wake_queued(self, order_ids: Collection[int]) -> int:
        return _count(WAKE, [numbers(order_ids)])

    def bring_forward(self, *, beyond: float, limit: int) -> int:
        """Make up to `limit` orders due that are due in more than `beyond` seconds, or a day if they wait patiently.

        Return how many.
        """
        return _count(BRING_FORWARD, [list(legs.PATIENT_WAITS), beyond, limit])

    def overdue(
        self, status: Status, *, waits_patiently: bool, entered_by: Sequence[str], seconds: float, limit: int
    ) -> list[int]:
        """Return up to `limit` orders in a state that one of these events led to so long ago. Without lock.

        `waits_patiently`: those that wait for a decision of the customer or the bank; else those that do not.
        """
        waits: list[Any] = [list(legs.PATIENT_WAITS), waits_patiently]
        return _ids(OVERDUE, [status.value, *waits, entered_by, seconds, limit])

    def held_for(self, gateway: str, *, seconds: float, without_attention: bool, limit: int) -> list[int]:
        """Return up to `limit` orders of which a part was authorized so long ago and is not captured. Without lock."""
        return _ids(HELD_FOR, [without_attention, gateway, seconds, limit])

    def lock_archivable(self, order_ids: Sequence[int], *, ended_before: datetime) -> list[int]:
        """Lock those of the orders that have ended and owe nothing, skipping locked ones. Return their ids."""
        return _ids(LOCK_ARCHIVABLE, [list(order_ids), ended_before, ended_before])


def _states(statement: str, parameters: Parameters) -> list[JourneyState]:
    # Hot path: by columns, in C.
    columns: list[Iterable[Any]] = list(zip(*execute(statement, parameters), strict=True))
    if not columns:
        return []
    for place, objects in OBJECTS_AT:
        columns[place] = map(objects.__getitem__, columns[place])
    return list(map(JourneyState, *columns))


def _count(statement: str, parameters: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def _ids(statement: str, parameters: list[Any]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [order_id for (order_id,) in cursor.fetchall()]


# --- Rows and columns -------------------------------------------------------------------------------------

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
    order_ids, sequences, types, progress, data = zip(*events, strict=True) if events else ((),) * 5
    return {
        "order_id": ("bigint", order_ids),
        "sequence": ("int", sequences),
        "type": ("text", types),
        "progress": ("smallint", progress),
        "data": ("jsonb", [document(each) if each else "{}" for each in data]),
    }


SAVED = [name for name in _journey_columns([]) if name not in ("order_id", "reschedule", "due_in")]
# The transaction's number once per statement; the column's default runs per event.
SAVE = SAVE.replace("{number}", CurrentTransaction.template).replace(
    "{columns}", ", ".join(f"{name} = c.{name}" for name in SAVED)
)
