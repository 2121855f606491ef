"""The outbox of mails and webhooks.

A claim moves a row's moment to the end of its lease, so a crash is a retry. Of an order, a receiver gets one
message at a time, in sequence.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection, models, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from providers.concurrency import concurrently

logger = logging.getLogger(__name__)

WAITING, FAILED = "waiting", "failed"
LONGEST_WAIT_SECONDS = 3600.0
LANE_SECONDS = 10.0

CLAIM = """
    UPDATE {table} SET attempts = attempts + 1, due_at = now() + %(lease)s * interval '1 second'
    WHERE id IN (
        SELECT due.id FROM unnest(%(receivers)s::bigint[], %(rooms)s::int[]) AS wanted(receiver, room)
        CROSS JOIN LATERAL (
            SELECT r.id FROM {table} r
            WHERE {receiver} = wanted.receiver AND r.due_at <= now() AND NOT EXISTS (
                SELECT FROM {table} earlier
                WHERE {same_receiver} earlier.order_id = r.order_id AND earlier.sequence < r.sequence
                  AND earlier.state = 'waiting')
            ORDER BY r.due_at, r.id LIMIT wanted.room FOR UPDATE OF r SKIP LOCKED) due)
    RETURNING id
"""
RECORD = """
    UPDATE {table} r
    SET state = o.state, failure = o.failure, attempts = r.attempts - o.uncounted, {status}
        {sent_at} = CASE WHEN o.state = '{sent}' THEN now() ELSE r.{sent_at} END,
        due_at = now() + o.due_in * interval '1 second'
    FROM unnest(%(ids)s::bigint[], %(leases)s::timestamptz[], %(states)s::text[], %(failures)s::text[],
                %(statuses)s::int[], %(uncounted)s::int[], %(due_in)s::float8[])
        AS o(id, lease, state, failure, status, uncounted, due_in)
    WHERE r.id = o.id AND r.state = 'waiting' AND r.due_at = o.lease
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A try's outcome. `due_in`: seconds until the next try; None: never."""

    state: str
    failure: str = ""
    due_in: float | None = None
    status: int | None = None  # of the receiver's answer
    counts: bool = True  # as an attempt
    taken: bool | None = None  # by the receiver; None: not called
    hung: bool = False  # timed out


Row = TypeVar("Row", bound=models.Model)
Lane = Sequence[Row]
Tried = Sequence[tuple[Row, Outcome]]


class Outbox(Generic[Row]):
    """One table's queue. Its rows have order_id, sequence, state, due_at, attempts, failure and key."""

    def __init__(
        self, model: type[Row], *, sent: str, sent_at: str, lease_seconds: float, receiver: str = ""
    ) -> None:
        self._model, self._lease_seconds = model, lease_seconds
        has_status = any(field.name == "status_code" for field in model._meta.fields)
        parts = {
            "table": model._meta.db_table,
            "sent": sent,
            "sent_at": sent_at,
            "receiver": f"r.{receiver}" if receiver else "0",
            "same_receiver": f"earlier.{receiver} = r.{receiver} AND" if receiver else "",
            "status": "status_code = o.status," if has_status else "",
        }
        self._claim, self._record = CLAIM.format(**parts), RECORD.format(**parts)

    def claim(self, rooms: Mapping[int, int]) -> list[int]:
        """Claim due rows, for each receiver at most so many, and return their ids."""
        parameters: dict[str, Any] = {
            "lease": self._lease_seconds,
            "receivers": list(rooms),
            "rooms": list(rooms.values()),
        }
        with connection.cursor() as cursor:
            cursor.execute(self._claim, parameters)
            return [row[0] for row in cursor.fetchall()]

    def send(
        self,
        lanes: Sequence[Lane[Row]],
        send: Callable[[Row], Outcome],
        *,
        pool: str,
        patience: float,
        places: int | None = None,
        on_end: Callable[[int, Tried[Row]], None] = lambda _place, _tried: None,
    ) -> list[Outcome]:
        """Send each lane's rows one after another, lanes concurrently, and record the outcomes."""

        def end(place: int, tried: Tried[Row]) -> None:
            self._end_lane(lanes[place], tried)
            on_end(place, tried)

        def end_late(late: Sequence[tuple[int, Tried[Row]]]) -> None:
            for place, tried in late:
                end(place, tried)

        calls = [partial(_send_lane, lane, send) for lane in lanes]
        done = concurrently(calls, patience=patience, on_late=end_late, pool=pool, places=places)
        for place in range(len(lanes)):
            if place not in done.late:
                end(place, done.results.get(place, []))
        return [outcome for tried in done.results.values() for _, outcome in tried]

    def requeue(self, rows: QuerySet[Row], *, user_id: int, note: str, **changes: Any) -> int:
        reset: dict[str, Any] = {"state": WAITING, "due_at": Now(), "attempts": 0, "failure": ""}
        with transaction.atomic():
            chosen = list(rows.select_for_update(of=("self",)).values_list("pk", flat=True))
            found = self._model._default_manager.filter(pk__in=chosen)
            found.update(**reset | changes)
            LogEntry.objects.log_actions(user_id, found, CHANGE, change_message=note)
        return len(chosen)

    def _end_lane(self, lane: Lane[Row], tried: Tried[Row]) -> None:
        done = {row.pk for row, _ in tried}
        rest = [
            (
                row,
                Outcome(
                    WAITING,
                    _of(row).failure,
                    due_in=0.0,
                    status=getattr(row, "status_code", None),
                    counts=False,
                ),
            )
            for row in lane
            if row.pk not in done
        ]
        self.record([*tried, *rest])

    def record(self, tried: Tried[Row]) -> None:
        if not tried:
            return
        outcomes = [outcome for _, outcome in tried]
        parameters = {
            "ids": [row.pk for row, _ in tried],
            "leases": [_of(row).due_at for row, _ in tried],
            "states": [outcome.state for outcome in outcomes],
            "failures": [outcome.failure for outcome in outcomes],
            "statuses": [outcome.status for outcome in outcomes],
            "uncounted": [int(not outcome.counts) for outcome in outcomes],
            "due_in": [outcome.due_in for outcome in outcomes],
        }
        with connection.cursor() as cursor:
            cursor.execute(self._record, parameters)
        for row, outcome in tried:
            if outcome.state == FAILED:
                logger.warning("%s %s was given up: %s", type(row).__name__, _of(row).key, outcome.failure)


def retry(row: models.Model, why: str, *, attempts: int, **facts: Any) -> Outcome:
    """Return the outcome of a failed try: another one after a pause that doubles, or none after so many."""
    done = _of(row).attempts
    if done >= attempts:
        return Outcome(FAILED, f"given up after {done} tries: {why}"[:200], **facts)
    return Outcome(WAITING, why[:200], due_in=min(LONGEST_WAIT_SECONDS, 2.0 ** (done - 1)), **facts)


def defer(why: str, *, seconds: float) -> Outcome:
    """Return the outcome of a row that could not be tried, which is no attempt."""
    return Outcome(WAITING, why[:200], due_in=seconds, counts=False)


def _send_lane(lane: Lane[Row], send: Callable[[Row], Outcome]) -> list[tuple[Row, Outcome]]:
    until = time.monotonic() + LANE_SECONDS
    tried: list[tuple[Row, Outcome]] = []
    for row in lane:
        if tried and time.monotonic() > until:
            break
        outcome = send(row)
        tried.append((row, outcome))
        if outcome.taken is False:
            break
    return tried


def _of(row: models.Model) -> Any:
    return row
