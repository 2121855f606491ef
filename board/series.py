"""Time series of the last minutes for the board's charts.

A refresh reads only new events, and only with viewers. The backlog is not in the journal: beat samples it,
and so does each refresh.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from api.responses import Answer
from orders import journal
from orders.events import EventType
from orders.maintenance import backlog_samples
from orders.reporting import stats
from scheduling.slots import database_now

BUCKET_SECONDS = 2
SPAN_SECONDS = 300
RETENTION_SECONDS = 1.0
SAMPLE_SECONDS = 12  # until beat's next sample, with slack
# Limit of a first read.
MAX_ORDERS = 100_000
# Exponential classes: quantiles within 6 %.
SHORTEST, LONGEST, CLASSES = 0.005, 3600.0, 110

READ = """
    SELECT floor(extract(epoch FROM e.at) / %(bucket)s)::bigint * %(bucket)s, e.type,
           CASE WHEN e.type = %(confirmed)s THEN width_bucket(
               ln(greatest(extract(epoch FROM e.at - placed.at), 0.000001)::float8),
               ln(%(shortest)s::float8), ln(%(longest)s::float8), %(classes)s) END,
           count(*)
    FROM orders_orderevent e
    JOIN orders_orderevent placed ON placed.order_id = e.order_id AND placed.sequence = 1
    WHERE e.transaction_id >= %(start)s AND e.transaction_id < %(end)s AND e.type = ANY(%(types)s)
      -- An order that was held waited for a person.
      AND (e.type <> %(confirmed)s OR NOT coalesce((placed.data ->> 'held')::bool, false))
    GROUP BY 1, 2, 3
"""
ENDED = (EventType.REJECTED, EventType.CANCELLED)


class Now(Answer):
    """Rates of the last ten seconds, times of the last minute."""

    placed_per_second: float
    confirmed_per_second: float
    p50_seconds: float | None
    p95_seconds: float | None
    under_way: int
    due: int
    oldest_due_seconds: float


class SeriesAnswer(Answer):
    """Series of equal length; times are bucket starts in Unix seconds."""

    bucket_seconds: int
    times: list[int]
    placed: list[float]
    confirmed: list[float]
    ended: list[float]
    p50: list[float | None]
    p95: list[float | None]
    under_way: list[int | None]
    due: list[int | None]
    now: Now


@dataclass(slots=True)
class Bucket:
    placed: int = 0
    confirmed: int = 0
    ended: int = 0
    classes: dict[int, int] = field(default_factory=dict)  # seconds to confirm
    backlog: stats.Backlog | None = None

    def add(self, event: str, class_: int | None, count: int) -> None:
        if event == EventType.PLACED:
            self.placed += count
        elif event == EventType.CONFIRMED:
            self.confirmed += count
            self.classes[class_ or 0] = self.classes.get(class_ or 0, 0) + count
        else:
            self.ended += count


class Series:
    """The buckets of the last minutes, refreshed on demand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: defaultdict[int, Bucket] = defaultdict(Bucket)
        self._read_until: int | None = None
        self._refreshed_at = -math.inf
        self._answer: SeriesAnswer | None = None

    def get(self) -> SeriesAnswer:
        """Return the series, at most a second old."""
        with self._lock:
            if self._answer is None or time.monotonic() - self._refreshed_at >= RETENTION_SECONDS:
                self._answer = self._refresh()
                self._refreshed_at = time.monotonic()
            return self._answer

    def forget(self) -> None:
        with self._lock:
            self._read_until, self._answer = None, None
            self._buckets.clear()

    def _refresh(self) -> SeriesAnswer:
        now = database_now().timestamp()
        self._forget_before(now - SPAN_SECONDS - BUCKET_SECONDS)
        self._read(now)
        self._add_backlogs(now)
        self._buckets[_bucket_of(now)].backlog = stats.backlog()
        return self._build_answer(now)

    def _add_backlogs(self, now: float) -> None:
        for at, backlog in backlog_samples.since(datetime.fromtimestamp(now - SPAN_SECONDS, tz=UTC)):
            bucket = self._buckets[_bucket_of(at.timestamp())]
            bucket.backlog = bucket.backlog or backlog

    def _forget_before(self, moment: float) -> None:
        for start in [start for start in self._buckets if start < moment]:
            del self._buckets[start]

    def _read(self, now: float) -> None:
        if time.monotonic() - self._refreshed_at > SPAN_SECONDS:
            self._read_until = None
        end = journal.end().transaction_id
        start = _transaction_before(now - SPAN_SECONDS, end) if self._read_until is None else self._read_until
        for begin, event, class_, count in _events(start, end):
            self._buckets[begin].add(event, class_, count)
        self._read_until = end

    def _build_answer(self, now: float) -> SeriesAnswer:
        last = _bucket_of(now) - BUCKET_SECONDS  # an incomplete bucket would look like a drop
        times = list(range(last - SPAN_SECONDS + BUCKET_SECONDS, last + 1, BUCKET_SECONDS))
        buckets = [self._buckets.get(start, Bucket()) for start in times]
        backlogs = [self._backlog_at(start) for start in times]
        return SeriesAnswer(
            bucket_seconds=BUCKET_SECONDS,
            times=times,
            placed=[bucket.placed / BUCKET_SECONDS for bucket in buckets],
            confirmed=[bucket.confirmed / BUCKET_SECONDS for bucket in buckets],
            ended=[bucket.ended / BUCKET_SECONDS for bucket in buckets],
            p50=[quantile(bucket.classes, 0.5) for bucket in buckets],
            p95=[quantile(bucket.classes, 0.95) for bucket in buckets],
            under_way=[backlog.due + backlog.later if backlog else None for backlog in backlogs],
            due=[backlog.due if backlog else None for backlog in backlogs],
            now=self._now(now, buckets),
        )

    def _backlog_at(self, start: int) -> stats.Backlog | None:
        for earlier in range(start, start - SAMPLE_SECONDS - 1, -BUCKET_SECONDS):
            bucket = self._buckets.get(earlier)
            if bucket and bucket.backlog:
                return bucket.backlog
        return None

    def _now(self, now: float, buckets: list[Bucket]) -> Now:
        backlog = self._buckets[_bucket_of(now)].backlog
        assert backlog
        latest, minute = buckets[-10 // BUCKET_SECONDS :], buckets[-60 // BUCKET_SECONDS :]
        classes = _merge(bucket.classes for bucket in minute)
        return Now(
            placed_per_second=sum(b.placed for b in latest) / 10,
            confirmed_per_second=sum(b.confirmed for b in latest) / 10,
            p50_seconds=quantile(classes, 0.5),
            p95_seconds=quantile(classes, 0.95),
            under_way=backlog.due + backlog.later,
            due=backlog.due,
            oldest_due_seconds=round(backlog.oldest_seconds, 1),
        )


def quantile(classes: dict[int, int], share: float) -> float | None:
    wanted, seen = sum(classes.values()) * share, 0
    for class_ in sorted(classes):
        seen += classes[class_]
        if seen >= wanted:
            return round(SHORTEST * (LONGEST / SHORTEST) ** ((class_ - 0.5) / CLASSES), 4)
    return None


def _merge(all_classes: Iterable[dict[int, int]]) -> dict[int, int]:
    total: dict[int, int] = {}
    for classes in all_classes:
        for class_, count in classes.items():
            total[class_] = total.get(class_, 0) + count
    return total


def _bucket_of(moment: float) -> int:
    return int(moment // BUCKET_SECONDS) * BUCKET_SECONDS


def _transaction_before(moment: float, end: int) -> int:
    """Return a transaction id no later than the first order's since a moment."""
    first = max(stats.first_id_since(datetime.fromtimestamp(moment, tz=UTC)), stats.latest_id() - MAX_ORDERS)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT transaction_id FROM orders_orderevent WHERE order_id >= %s AND sequence = 1"
            " ORDER BY order_id LIMIT 1",
            [first],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else end


def _events(start: int, end: int) -> list[tuple[int, str, int | None, int]]:
    parameters: dict[str, Any] = {
        "bucket": BUCKET_SECONDS,
        "confirmed": EventType.CONFIRMED.value,
        "shortest": SHORTEST,
        "longest": LONGEST,
        "classes": CLASSES,
        "start": start,
        "end": end,
        "types": [event.value for event in (EventType.PLACED, EventType.CONFIRMED, *ENDED)],
    }
    with connection.cursor() as cursor:
        cursor.execute(READ, parameters)
        return cursor.fetchall()


SERIES = Series()
