"""Order statistics; the cost follows orders in flight, not history. Larger counts are estimates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from orders import queries
from orders.events import EventType
from orders.legs import LEGS
from orders.managers import BULK_LANES
from orders.models import order_number
from orders.status import Status

# Count all up to this many.
COUNTED_ROWS = 50_000
# Sample size beyond that.
SAMPLED_ROWS = 10_000
# Longer time spans are shortened to the latest orders.
LONGEST_STRETCH = 200_000
TIMED_ORDERS = 2_000

MILESTONES = (
    EventType.STARTED,
    *(state.event for leg in LEGS for state in leg.states.values() if state.good and state.event),
    EventType.CONFIRMED,
)
QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Count:
    orders: int
    is_estimate: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    due: int
    later: int
    oldest_order: str
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Attention:
    """An order that needs attention, and why."""

    order_id: int
    number: str
    status: str
    why: str


@dataclass(frozen=True, slots=True)
class BatchUnderWay:
    id: int
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Orders placed and ended within the last `seconds`."""

    seconds: float
    placed: int
    ended: dict[str, int]

    def per_minute(self, orders: int) -> float:
        return round(orders * 60 / self.seconds, 2) if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from placement to a milestone."""

    milestone: str
    orders: int
    quantiles: dict[float, float]


def orders_by_state() -> dict[str, Count]:
    """Return customers' orders by status. Large counts of finished orders are estimates."""
    ours = _canaries_by_state()
    rows = _one(
        "SELECT greatest(pg_stat_get_live_tuples(oid), reltuples)::bigint FROM pg_class"
        " WHERE oid = 'orders_journey'::regclass"
    )[0]
    if rows < COUNTED_ROWS:
        found = {
            status: Count(n) for status, n in _all("SELECT status, count(*) FROM orders_journey GROUP BY 1")
        }
    else:
        found = _others()
        many = [status.value for status in Status if status.value not in found]
        found |= _by_sample(many, rows - sum(count.orders for count in found.values()), rows)
    return {
        status.value: _without(found.get(status.value, Count(0)), ours.get(status, 0)) for status in Status
    }


CANARIES = """
    SELECT j.status, count(*) FROM orders_order o JOIN orders_journey j ON j.order_id = o.id
    WHERE o.owner_id = %s GROUP BY 1
"""


def _canaries_by_state() -> dict[str, int]:
    owner = queries.canary_owner_id()
    return dict(_all(CANARIES, [owner])) if owner else {}


def _without(count: Count, ours: int) -> Count:
    return Count(max(0, count.orders - ours), count.is_estimate)


# The first condition matches a partial index. Finished orders count up to the sample size.
OTHERS = """
    SELECT s.status, (SELECT count(*) FROM (
        SELECT FROM orders_journey j
        WHERE NOT j.status IN ('confirmed', 'completed') AND j.status = s.status LIMIT s.most) AS few)
    FROM (VALUES ('pending', NULL), ('processing', NULL), ('cancelling', NULL),
                 ('cancelled', %(most)s), ('rejected', %(most)s)) AS s(status, most)
"""


def _others() -> dict[str, Count]:
    counted = _all(OTHERS, {"most": SAMPLED_ROWS + 1})
    ended = (Status.CANCELLED, Status.REJECTED)
    return {
        status: Count(orders) for status, orders in counted if status not in ended or orders <= SAMPLED_ROWS
    }


def _by_sample(statuses: list[str], orders: int, rows: int) -> dict[str, Count]:
    percent = min(100.0, 100 * SAMPLED_ROWS / rows)
    sample = _all(
        "SELECT status, count(*) FROM orders_journey TABLESAMPLE SYSTEM (%s) REPEATABLE (1)"
        " WHERE status = ANY(%s) GROUP BY 1",
        [percent, statuses],
    )
    whole = sum(seen for _, seen in sample) or 1
    return {status: Count(max(0, round(orders * seen / whole)), is_estimate=True) for status, seen in sample}


def backlog() -> Backlog:
    due, later = _one(
        "SELECT count(*) FILTER (WHERE due_at <= now()), count(*) FILTER (WHERE due_at > now())"
        " FROM orders_journey WHERE due_at IS NOT NULL"
    )
    # Of each lane the first: the index has them in this order.
    oldest = _all(
        "SELECT o.id, o.placed_at, extract(epoch FROM now() - j.due_at)::float8 FROM orders_journey j"
        " JOIN orders_order o ON o.id = j.order_id WHERE j.order_id = (SELECT first.order_id"
        " FROM generate_series(0, %s) AS lanes (lane) CROSS JOIN LATERAL"
        " (SELECT order_id, due_at FROM orders_journey WHERE lane = lanes.lane AND due_at <= now()"
        " ORDER BY due_at LIMIT 1) first ORDER BY first.due_at LIMIT 1)",
        [BULK_LANES],
    )
    if not oldest:
        return Backlog(due, later, "", 0.0)
    order_id, placed_at, seconds = oldest[0]
    return Backlog(due, later, order_number(order_id, placed_at), max(0.0, seconds))


def attention(*, limit: int = 20) -> tuple[int, list[Attention]]:
    """Return how many orders need attention, and the first `limit`."""
    flagged = (
        "FROM orders_journey j JOIN orders_order o ON o.id = j.order_id"
        " WHERE NOT j.attention = '' AND o.owner_id IS DISTINCT FROM %s"
    )
    canary = queries.canary_owner_id()
    (count,) = _one(f"SELECT count(*) {flagged}", [canary])
    rows = _all(
        f"SELECT o.id, o.placed_at, j.status, j.attention {flagged} ORDER BY j.order_id LIMIT %s",
        [canary, limit],
    )
    return count, [
        Attention(id_, order_number(id_, placed), status, why) for id_, placed, status, why in rows
    ]


def batches_under_way() -> list[BatchUnderWay]:
    rows = _all(
        "SELECT id, size, extract(epoch FROM now() - started_at)::float8 FROM orders_batch"
        " WHERE finished_at IS NULL ORDER BY started_at LIMIT 100"
    )
    return [BatchUnderWay(*row) for row in rows]


def latest_id() -> int:
    return int(_one("SELECT coalesce(max(id), 0) FROM orders_order")[0])


def first_id_since(moment: datetime) -> int:
    """Return the first id at or after `moment`.

    Ids rise with time: binary search needs no index.
    """
    low, high = 1, latest_id() + 1
    while low < high:
        middle = (low + high) // 2
        found = _all("SELECT id, placed_at FROM orders_order WHERE id >= %s ORDER BY id LIMIT 1", [middle])
        if found and found[0][1] < moment:
            low = found[0][0] + 1
        else:
            high = middle
    return low


def last_minutes(minutes: float, *, now: datetime) -> Stretch:
    since = now - timedelta(minutes=minutes)
    first, earliest = first_id_since(since), latest_id() - LONGEST_STRETCH
    if first < earliest:
        first, since = _one(
            "SELECT id, placed_at FROM orders_order WHERE id >= %s ORDER BY id LIMIT 1", [earliest]
        )
    (placed,) = _one("SELECT count(*) FROM orders_order WHERE id >= %s", [first])
    ended = _all(
        "SELECT status, count(*) FROM orders_journey WHERE order_id >= %s AND finished_at >= %s GROUP BY 1",
        [max(1, first - LONGEST_STRETCH // 10), since],
    )
    return Stretch((now - since).total_seconds(), placed, dict(ended))


TIMINGS = """
    WITH latest AS (
        SELECT order_id FROM orders_journey
        WHERE order_id > %(after)s AND status IN ('confirmed', 'completed')
        ORDER BY order_id DESC LIMIT %(limit)s
    ), milestones AS (
        SELECT e.type, extract(epoch FROM e.at - o.placed_at)::float8 AS seconds
        FROM latest JOIN orders_order o ON o.id = latest.order_id
        JOIN orders_orderevent e ON e.order_id = latest.order_id
        WHERE e.type = ANY(%(types)s)
          -- A held order's wait says nothing of the pipeline.
          AND NOT EXISTS (
              SELECT FROM orders_orderevent h WHERE h.order_id = o.id AND h.type = 'order_released')
    )
    SELECT type, count(*), percentile_cont(%(quantiles)s::float8[]) WITHIN GROUP (ORDER BY seconds)
    FROM milestones GROUP BY 1
"""


def timings() -> list[Timing]:
    """Return times to each milestone for the latest confirmed orders."""
    parameters = {
        "after": latest_id() - LONGEST_STRETCH,
        "limit": TIMED_ORDERS,
        "types": [milestone.value for milestone in MILESTONES],
        "quantiles": list(QUANTILES),
    }
    found = {type_: (orders, values) for type_, orders, values in _all(TIMINGS, parameters)}
    return [
        Timing(milestone.value, found[milestone][0], dict(zip(QUANTILES, found[milestone][1], strict=True)))
        for milestone in MILESTONES
        if milestone in found
    ]


def _one(statement: str, parameters: Sequence[Any] | None = None) -> tuple[Any, ...]:
    return _all(statement, parameters)[0]


def _all(statement: str, parameters: Sequence[Any] | dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
