"""Sales and refusals of the orders placed within a range of days, set-based.

Orders are found by their ids, which rise with time: the cost follows the range, not the history.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from database import replica
from iso.currencies import rounded
from orders import queries
from orders.legs import CAPTURED_BY_STAFF
from orders.reporting import stats

Unit = Literal["hour", "day"]
TOP_PRODUCTS = 20
TOP_REASONS = 50


@dataclass(frozen=True, slots=True)
class Span:
    """Orders placed from `start` on and before `end`."""

    start: datetime
    end: datetime


class PeriodSales(msgspec.Struct, frozen=True, rename="camel"):
    """An hour or a day. Each order counts once, by its state now: placed is the sum of the other counts.

    Confirmed includes completed orders; revenue is what is captured of theirs, with shipping and adjustments, without
    what is refunded or is to be, what failed after its capture, and what a dispute has lost.
    """

    start: datetime
    currency: str
    placed: int
    confirmed: int
    refused: int
    cancelled: int
    in_progress: int
    revenue: Decimal
    median_seconds_to_confirm: float | None
    p95_seconds_to_confirm: float | None


class TopProduct(msgspec.Struct, frozen=True, rename="camel"):
    """A product's revenue in one currency, without shipping and adjustments.

    Of an order of which a part is captured, or lost later, each line counts with the same part of its amount.
    """

    sku: str
    name: str
    currency: str
    units: int
    orders: int
    revenue: Decimal


class RefusalReason(msgspec.Struct, frozen=True, rename="camel"):
    """A reason for refusals, and their number."""

    reason: str
    orders: int


class Analytics(msgspec.Struct, frozen=True, rename="camel"):
    """Outcomes of the orders placed in a range of days."""

    periods: list[PeriodSales]
    top_products: list[TopProduct]
    refusal_reasons: list[RefusalReason]


# Of orders that staff capture, what is captured, and which share of what is not refunded that is.
BY_STAFF = """
    SELECT order_id, captured, coalesce((captured - credited) / nullif(total - credited, 0), 0) AS share
    FROM (
        SELECT j.order_id, o.goods_amount + o.adjustment_amount + j.shipping_amount AS total, (
                SELECT coalesce(sum(t.amount), 0) FROM payments_transaction t
                WHERE t.order_id = j.order_id AND t.kind = 'capture' AND t.state = 'succeeded' AND NOT EXISTS (
                    SELECT FROM payments_transaction r
                    WHERE r.order_id = t.order_id AND r.kind = 'reversal' AND r.parent = t.number)) AS captured, (
                SELECT coalesce(sum(amount), 0) FROM orders_credit c WHERE c.order_id = j.order_id) AS credited
        FROM orders_journey j JOIN orders_order o ON o.id = j.order_id
        WHERE j.order_id >= %(first)s AND j.order_id < %(last)s AND j.payment = ANY(%(by_staff)s)
          AND j.status IN ('confirmed', 'completed')
    ) sums
"""
# What was captured and is lost: captures that failed later, but for those of staff, and disputes.
LOST = """
    SELECT order_id, sum(amount) AS amount FROM (
        SELECT order_id, amount FROM payments_transaction
        WHERE kind = 'dispute' AND state = 'succeeded' AND order_id >= %(first)s AND order_id < %(last)s
        UNION ALL
        SELECT r.order_id, r.amount FROM payments_transaction r JOIN orders_journey j USING (order_id)
        WHERE r.kind = 'reversal' AND mod(r.parent, 10) = 2 AND j.payment <> ALL(%(by_staff)s)
          AND r.order_id >= %(first)s AND r.order_id < %(last)s
    ) lost GROUP BY 1
"""
# The range is repeated for the events: the planner does not infer it, and would scan them all.
PERIODS = """
    SELECT date_trunc(%(unit)s, o.placed_at, 'UTC') AS start, o.currency, count(*),
        count(*) FILTER (WHERE j.status IN ('confirmed', 'completed')),
        count(*) FILTER (WHERE j.status = 'rejected'),
        count(*) FILTER (WHERE j.status = 'cancelled'),
        count(*) FILTER (WHERE j.status IN ('pending', 'processing', 'cancelling')),
        coalesce(sum(coalesce(s.captured, o.goods_amount + o.adjustment_amount + j.shipping_amount)
                     - coalesce(c.amount, 0) - coalesce(v.amount, 0))
                 FILTER (WHERE j.status IN ('confirmed', 'completed')), 0),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM e.at - o.placed_at)::float8),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM e.at - o.placed_at)::float8)
    FROM orders_order o
    JOIN orders_journey j ON j.order_id = o.id
    LEFT JOIN (SELECT order_id, sum(amount) AS amount FROM orders_credit
               WHERE order_id >= %(first)s AND order_id < %(last)s GROUP BY 1) c ON c.order_id = o.id
    LEFT JOIN ({by_staff}) s ON s.order_id = o.id
    LEFT JOIN ({lost}) v ON v.order_id = o.id
    LEFT JOIN orders_orderevent e ON e.order_id = o.id AND e.type = 'order_confirmed'
        AND e.order_id >= %(first)s AND e.order_id < %(last)s
    WHERE o.id >= %(first)s AND o.id < %(last)s AND o.owner_id <> %(canary)s
    GROUP BY 1, 2 ORDER BY 1, 2
"""
PRODUCTS = """
    SELECT l.sku, max(l.product_name), o.currency, sum(l.quantity - coalesce(c.units, 0)),
        count(*) FILTER (WHERE l.number = 0),
        sum((l.quantity - coalesce(c.units, 0)) * l.unit_price * coalesce(s.share, 1)
            * coalesce(1 - v.amount / nullif(o.goods_amount + o.adjustment_amount + j.shipping_amount, 0), 1))
    FROM orders_order o
    JOIN orders_journey j ON j.order_id = o.id AND j.status IN ('confirmed', 'completed')
    JOIN orders_orderline l ON l.order_id = o.id
    LEFT JOIN (
        SELECT r.order_id, (line->>0)::bigint AS product_id, coalesce((line->>3)::int, 0) AS number,
            sum((line->>1)::int)::int AS units
        FROM orders_credit r CROSS JOIN LATERAL jsonb_array_elements(r.lines) line
        WHERE r.order_id >= %(first)s AND r.order_id < %(last)s GROUP BY 1, 2, 3
    ) c ON c.order_id = o.id AND c.product_id = l.product_id AND c.number = l.number
    LEFT JOIN ({by_staff}) s ON s.order_id = o.id
    LEFT JOIN ({lost}) v ON v.order_id = o.id
    WHERE o.id >= %(first)s AND o.id < %(last)s AND o.owner_id <> %(canary)s
    GROUP BY l.sku, o.currency ORDER BY 6 DESC, 1 LIMIT %(products)s
"""
PERIODS, PRODUCTS = (
    statement.replace("{by_staff}", BY_STAFF).replace("{lost}", LOST) for statement in (PERIODS, PRODUCTS)
)
REFUSALS = """
    SELECT coalesce(e.data->>'reason', ''), count(DISTINCT o.id)
    FROM orders_order o
    JOIN orders_orderevent e ON e.order_id = o.id AND e.type = 'order_rejected'
        AND e.order_id >= %(first)s AND e.order_id < %(last)s
    WHERE o.id >= %(first)s AND o.id < %(last)s AND o.owner_id <> %(canary)s
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(reasons)s
"""


@replica.may_be_late
def analyse(span: Span, *, unit: Unit) -> Analytics:
    """Return the outcomes of the orders placed within the span, by hour or day (UTC)."""
    parameters = {
        "unit": unit,
        "first": stats.first_id_since(span.start),
        "last": stats.first_id_since(span.end),
        "canary": queries.canary_owner_id() or 0,
        "by_staff": [str(state) for state in CAPTURED_BY_STAFF],
        "products": TOP_PRODUCTS,
        "reasons": TOP_REASONS,
    }
    return Analytics(
        periods=[_period(*row) for row in _rows(PERIODS, parameters)],
        top_products=[_product(*row) for row in _rows(PRODUCTS, parameters)],
        refusal_reasons=[RefusalReason(*row) for row in _rows(REFUSALS, parameters)],
    )


def _period(*values: Any) -> PeriodSales:
    period = PeriodSales(*values)
    return msgspec.structs.replace(period, revenue=rounded(period.revenue, period.currency))


def _product(*values: Any) -> TopProduct:
    product = TopProduct(*values)
    return msgspec.structs.replace(product, revenue=rounded(product.revenue, product.currency))


def _rows(statement: str, parameters: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
    with replica.connection().cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()
