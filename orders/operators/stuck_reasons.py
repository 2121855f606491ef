"""Stuck orders by cause: `attention:<text>`, with N for numbers, or `waiting:<code>`.

The N only groups; people see the text of the newest order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import F, Func, QuerySet, Value

from orders import queries
from orders.models import Order
from orders.reporting.wording import attention as in_words
from orders.reporting.wording import waits_for
from orders.status import UNDER_WAY

ATTENTION, WAITING = "attention", "waiting"
MAX_CAUSES, MAX_TEXTS = 50, 100

# The predicates match partial indexes: the cost follows stuck orders, not history.
GROUPS = """
    WITH stuck AS (
        SELECT order_id, shipping_amount, attention,
               'attention:' || regexp_replace(attention, '[0-9]+', 'N', 'g') AS cause
        FROM orders_journey WHERE NOT attention = ''
        UNION ALL
        SELECT order_id, shipping_amount, '', 'waiting:' || waiting_for
        FROM orders_journey
        WHERE status = ANY(%(under_way)s) AND NOT status IN ('confirmed', 'completed')
          AND NOT waiting_for = '' AND attention = ''
    )
    SELECT cause, currency, count(*), sum(goods_amount + adjustment_amount + coalesce(shipping_amount, 0)),
           min(placed_at),
           (array_agg(attention ORDER BY order_id DESC))[1], count(DISTINCT attention)
    FROM stuck JOIN orders_order o ON o.id = stuck.order_id
    WHERE o.owner_id IS DISTINCT FROM %(canary)s
    GROUP BY cause, currency ORDER BY cause, currency
"""


@dataclass(slots=True)
class Group:
    cause: str
    orders: int = 0
    amounts: dict[str, Decimal] = field(default_factory=dict)  # by currency
    oldest_at: datetime | None = None
    newest: str = ""  # the text of the newest order
    texts: int = 1  # different ones

    @property
    def needs_person(self) -> bool:
        """Whether they need manual action; the rest are retried automatically."""
        return self.cause.startswith(ATTENTION)

    @property
    def title(self) -> str:
        return _in_words(self.cause, self.newest, self.texts)

    def add(self, currency: str, orders: int, amount: Decimal, oldest_at: datetime) -> None:
        self.orders += orders
        self.amounts[currency] = amount
        self.oldest_at = min(self.oldest_at or oldest_at, oldest_at)


def groups() -> list[Group]:
    """Return the causes: attention first, then by number of orders."""
    found: dict[str, Group] = {}
    for cause, *facts, newest, texts in _rows():
        group = found.setdefault(cause, Group(cause, newest=newest))
        group.add(*facts)
        group.texts = max(group.texts, texts)
    return sorted(found.values(), key=lambda group: (not group.needs_person, -group.orders))[:MAX_CAUSES]


def title(cause: str) -> str:
    """Describe a cause by the values of its newest order."""
    kind, _, what = cause.partition(":")
    if kind != ATTENTION:
        return _in_words(cause, "", 1)
    texts = kept_by(cause, Order.objects.order_by("-pk")).values_list("journey__attention", flat=True)
    found = list(texts[:MAX_TEXTS])
    return _in_words(cause, found[0] if found else what, len(set(found)))


def _in_words(cause: str, newest: str, texts: int) -> str:
    kind, _, what = cause.partition(":")
    if kind != ATTENTION:
        return f"waiting for {waits_for(what)}"
    words = in_words(newest or what)
    return f"{words.rstrip('. ')}, and others like it" if texts > 1 else words


def kept_by(cause: str, orders: QuerySet[Order]) -> QuerySet[Order]:
    kind, _, what = cause.partition(":")
    if not what or "\0" in what:
        return orders.none()
    if kind == ATTENTION:
        # Not `exclude`: its outer join bypasses the partial index.
        flagged = orders.filter(journey__attention__gt="").annotate(why=WITHOUT_NUMBERS)
        return queries.without_canaries(flagged.filter(why=what))
    if kind == WAITING:
        waiting = orders.filter(
            journey__status__in=UNDER_WAY, journey__waiting_for=what, journey__attention=""
        )
        return queries.without_canaries(waiting)
    return orders.none()


WITHOUT_NUMBERS = Func(
    F("journey__attention"), Value("[0-9]+"), Value("N"), Value("g"), function="regexp_replace"
)


def _rows() -> Iterable[tuple[Any, ...]]:
    parameters: dict[str, Any] = {
        "under_way": [status.value for status in UNDER_WAY],
        "canary": queries.canary_owner_id(),
    }
    with connection.cursor() as cursor:
        cursor.execute(GROUPS, parameters)
        return cursor.fetchall()
