"""Unresolved payments: money due to customers, or outcome unknown. All are retried automatically."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from orders import queries
from orders.legs import PAYMENT
from orders.maintenance.money_checks import BY_HAND
from orders.models import order_number

# Calls in flight are unknown too, for this long.
CALL_SECONDS = 15

AT_RISK = """
    WITH unknown AS (
        SELECT t.order_id, t.kind, t.amount, t.currency, t.started_at AS since, t.code, t.message
        FROM orders_journey j JOIN payments_transaction t ON t.order_id = j.order_id
        -- No other has a call in flight.
        WHERE (j.status IN ('processing', 'cancelling') OR j.payment IN ('refunding', 'moving'))
          AND t.state = 'unknown' AND t.kind <> 'dispute' AND t.started_at < now() - %(seconds)s * interval '1 second'
    ), returned AS (
        -- A refund from before there were several captures may not name its own.
        SELECT t.order_id, coalesce(t.parent, 2) AS parent, t.amount FROM orders_journey j
        JOIN payments_transaction t
            ON t.order_id = j.order_id AND t.kind IN ('refund', 'void') AND t.state = 'succeeded'
        WHERE j.status = 'cancelling' AND NOT EXISTS (
            SELECT FROM payments_transaction r
            WHERE r.order_id = t.order_id AND r.kind = 'reversal' AND r.parent = t.number)
    ), failed AS (
        SELECT c.order_id, 'refund' AS kind, c.amount, o.currency, (
                   SELECT max(e.at) FROM orders_orderevent e WHERE e.order_id = c.order_id
                   AND e.type = 'refund_failed') AS since,
               '' AS code, c.reason AS message
        FROM orders_journey j JOIN orders_credit c ON c.order_id = j.order_id AND c.state = 'failed'
        JOIN orders_order o ON o.id = c.order_id
        WHERE j.payment IN ('refunding', 'moving') AND j.status <> 'cancelling'
        UNION ALL
        SELECT r.order_id, 'reversal', r.amount, r.currency, r.started_at, r.code, r.message
        FROM orders_journey j JOIN payments_transaction r ON r.order_id = j.order_id AND r.kind = 'reversal'
        WHERE j.attention <> '' AND j.status IN ('confirmed', 'completed') AND mod(r.parent, 10) = 2 -- a capture
        UNION ALL
        SELECT d.order_id, d.kind, d.amount, d.currency, d.started_at, d.code, d.message
        FROM payments_transaction d JOIN orders_journey j ON j.order_id = d.order_id
        WHERE d.kind = 'dispute' AND (d.state = 'unknown' OR (d.state = 'succeeded' AND j.attention <> ''))
        UNION ALL
        SELECT j.order_id, 'surplus', m.held - m.owed, o.currency, m.since, '', ''
        FROM orders_journey j JOIN orders_order o ON o.id = j.order_id
        JOIN {by_hand} m ON m.reference = o.uuid AND m.held > m.owed
        WHERE j.attention <> '' AND j.status <> 'cancelling'
    ), holding AS (
        SELECT t.order_id, t.kind, t.amount - coalesce(f.amount, 0) AS amount, t.currency, (
                   SELECT max(e.at) FROM orders_orderevent e WHERE e.order_id = j.order_id
                   AND e.type IN ('cancellation_started', 'payment_arrived_late')) AS since,
               t.code, t.message
        FROM orders_journey j
        JOIN payments_transaction t ON t.order_id = j.order_id AND t.state = 'succeeded'
             AND t.kind = CASE WHEN j.payment IN ('authorized', 'held', 'moving') THEN 'authorize' ELSE 'capture' END
        LEFT JOIN LATERAL (SELECT sum(r.amount) AS amount FROM returned r
                           WHERE r.order_id = t.order_id AND (t.kind = 'authorize' OR r.parent = t.number)) f ON true
        WHERE j.status = 'cancelling' AND t.amount > coalesce(f.amount, 0)
          AND j.payment IN ('authorized', 'held', 'moving', 'expired', 'captured', 'refunding')
          AND NOT EXISTS (SELECT FROM unknown u WHERE u.order_id = j.order_id)
    ), risks AS (
        SELECT r.* FROM (SELECT *, true AS is_unknown FROM unknown UNION ALL SELECT *, false FROM holding
                         UNION ALL SELECT *, false FROM failed) r
        JOIN orders_order o ON o.id = r.order_id WHERE o.owner_id IS DISTINCT FROM %(canary)s
    )
"""

OF_THOSE = """WHERE reference IN (
    SELECT uuid FROM orders_order o JOIN orders_journey j ON j.order_id = o.id WHERE attention <> '')"""
AT_RISK = AT_RISK.replace("{by_hand}", BY_HAND.replace("GROUP BY", f"{OF_THOSE} GROUP BY"))

LIST = f"""{AT_RISK}
    SELECT r.order_id, o.placed_at, j.status, r.is_unknown, r.kind, r.amount, r.currency, r.since, r.code,
           r.message, j.waiting_for, j.attention, j.due_at
    FROM risks r JOIN orders_order o ON o.id = r.order_id JOIN orders_journey j ON j.order_id = r.order_id
    ORDER BY r.since LIMIT %(limit)s
"""  # noqa: S608 - built from constants

SUMS = f"{AT_RISK} SELECT currency, count(DISTINCT order_id), sum(amount) FROM risks GROUP BY 1 ORDER BY 1"  # noqa: S608

OUTCOME_OF = {"authorize": "Authorization", "capture": "Capture", "void": "Void", "refund": "Refund"}
NEXT_STEP: dict[str, str] = {
    PAYMENT.PROVIDER_AWAY: "Repeated as soon as the provider can be reached.",
    PAYMENT.OUTCOME_UNKNOWN: "Looked up at the provider by its idempotency key first.",
}


@dataclass(frozen=True, slots=True)
class Risk:
    """An unresolved payment of one order."""

    order_id: int
    placed_at: datetime
    status: str
    is_unknown: bool
    kind: str
    amount: Decimal
    currency: str
    since: datetime
    code: str
    message: str
    waiting_for: str
    attention: str
    due_at: datetime | None

    @property
    def number(self) -> str:
        return order_number(self.order_id, self.placed_at)

    @property
    def cause(self) -> str:
        if self.is_unknown:
            return f"{OUTCOME_OF[self.kind]} outcome unknown."
        if self.kind == "reversal":
            return "The capture failed after it had succeeded."
        if self.kind == "dispute":
            return "Disputed by the customer."
        if self.kind == "surplus":
            return "More arrived than is owed."
        if self.kind == "refund":
            return "Refund refused by the provider."
        return "Authorized, not voided yet." if self.kind == "authorize" else "Captured, not refunded yet."

    @property
    def next_step(self) -> str:
        if self.kind == "dispute":
            return "Answer it in the payment provider's dashboard."
        if self.kind == "surplus":
            return "Pay it back by hand, and record that with the order."
        if self.attention and self.due_at is None:
            return "Needs manual action: check the order, then retry it."
        return NEXT_STEP.get(self.waiting_for, "Returned with the order's next retry.")


@dataclass(frozen=True, slots=True)
class Sum:
    """Unresolved payments in one currency."""

    currency: str
    orders: int
    amount: Decimal


def at_risk(*, limit: int = 200) -> list[Risk]:
    """Return unresolved payments, oldest first."""
    return [Risk(*row) for row in _rows(LIST, {"limit": limit})]


def sums_at_risk() -> list[Sum]:
    return [Sum(*row) for row in _rows(SUMS, {})]


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        ours = {"seconds": CALL_SECONDS, "canary": queries.canary_owner_id()}
        cursor.execute(statement, parameters | ours)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
