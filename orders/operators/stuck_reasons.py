"""Stuck orders by cause: `attention:<text>`, with N for numbers, or `waiting:<code>`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import F, Func, QuerySet, Value

from orders import canary_account
from orders.models import Order
from orders.status import UNDER_WAY
from orders.wording import attention as in_words
from orders.wording import waits_for

ATTENTION, WAITING = "attention", "waiting"
MAX_CAUSES = 50

# The predicates match partial indexes: the cost follows stuck orders, not history.
GROUPS = """
    WITH stuck AS (
        SELECT order_id, shipping_amount, 'attention:' || regexp_replace(attention, '[0-9]+', 'N', 'g') AS cause
        FROM orders_journey WHERE NOT attention = ''
        UNION ALL
        SELECT order_id, shipping_amount, 'waiting:' || waiting_for
        FROM orders_journey
        WHERE status = ANY(%(under_way)s) AND NOT status IN ('confirmed', 'completed')
          AND NOT waiting_for = '' AND attention = ''
    )
    SELECT cause, currency, count(*), sum(goods_amount + coalesce(shipping_amount, 0)), min(placed_at)
    FROM stuck JOIN orders_order o ON o.id = stuck.order_id
    WHERE o.owner_id IS DISTINCT FROM %(canary)s
    GROUP BY cause, currency ORDER BY cause, currency
"""


@dataclass(slots=True)
class Group:
    """Stuck orders with one cause."""

    cause: str
    orders: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)  # by currency
    oldest_at: datetime | None = None

    @property
    def needs_person(self) -> bool:
        """Whether they need manual action; the rest are retried automatically."""
        return self.cause.startswith(ATTENTION)

    @property
    def title(self) -> str:
        """The cause in words."""
        return title(self.cause)

    def add(self, currency: str, orders: int, amount: Decimal, oldest_at: datetime) -> None:
        """Add orders of a currency."""
        self.orders += orders
        self.amounts[currency] = amount
        self.oldest_at = min(self.oldest_at or oldest_at, oldest_at)


def groups() -> list[Group]:
    """Return the causes: attention first, then by number of orders."""
    found: dict[str, Group] = {}
    for cause, *facts in _rows():
        found.setdefault(cause, Group(cause)).add(*facts)
    return sorted(found.values(), key=lambda group: (not group.needs_person, -group.orders))[:MAX_CAUSES]


def title(cause: str) -> str:
    """Describe a cause."""
    kind, _, what = cause.partition(":")
    return in_words(what) if kind == ATTENTION else f"waiting for {waits_for(what)}"


def kept_by(cause: str, orders: QuerySet[Order]) -> QuerySet[Order]:
    """Return the orders stuck by a cause."""
    kind, _, what = cause.partition(":")
    if not what or "\0" in what:
        return orders.none()
    if kind == ATTENTION:
        # Not `exclude`: its outer join bypasses the partial index.
        flagged = orders.filter(journey__attention__gt="").annotate(why=WITHOUT_NUMBERS)
        return canary_account.left_out(flagged.filter(why=what))
    if kind == WAITING:
        waiting = orders.filter(
            journey__status__in=UNDER_WAY, journey__waiting_for=what, journey__attention=""
        )
        return canary_account.left_out(waiting)
    return orders.none()


WITHOUT_NUMBERS = Func(
    F("journey__attention"), Value("[0-9]+"), Value("N"), Value("g"), function="regexp_replace"
)


def _rows() -> Iterable[tuple[Any, ...]]:
    parameters: dict[str, Any] = {
        "under_way": [status.value for status in UNDER_WAY],
        "canary": canary_account.owner_id(),
    }
    with connection.cursor() as cursor:
        cursor.execute(GROUPS, parameters)
        return cursor.fetchall()
