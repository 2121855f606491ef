"""The archive: moves long finished orders out of the live tables, one row each.

Small transactions make the job resumable; locked rows wait for the next run.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Model, TextField
from django.db.models.functions import Cast

import faults
from orders.managers.journeys import DELETE
from orders.models import ArchivedOrder, Journey, Order

Row = TypeVar("Row", bound=Model)

# Orders per transaction.
WINDOW = 500

NEXT = "SELECT id, placed_at FROM orders_order WHERE id > %s ORDER BY id LIMIT %s"

MOVE = f"""
    WITH orders AS (DELETE FROM orders_order WHERE id = ANY(%(ids)s::bigint[]) RETURNING *),
    journeys AS ({DELETE}),
    lines AS (DELETE FROM orders_orderline WHERE order_id = ANY(%(ids)s::bigint[]) RETURNING *),
    events AS (DELETE FROM orders_orderevent WHERE order_id = ANY(%(ids)s::bigint[]) RETURNING *),
    transactions AS (DELETE FROM payments_transaction WHERE order_id = ANY(%(ids)s::bigint[]) RETURNING *),
    credits AS (DELETE FROM orders_credit WHERE order_id = ANY(%(ids)s::bigint[]) RETURNING *),
    lines_of AS (
        SELECT order_id, jsonb_agg(to_jsonb(l) - 'order_id' ORDER BY product_id, number) AS rows FROM lines l GROUP BY 1
    ), events_of AS (
        SELECT order_id, jsonb_agg(to_jsonb(e) - 'order_id' ORDER BY sequence) AS rows FROM events e GROUP BY 1
    ), transactions_of AS (
        SELECT order_id, jsonb_agg(to_jsonb(t) - 'order_id' ORDER BY number) AS rows,
            sum(amount) FILTER (WHERE kind = 'capture' AND state = 'succeeded') AS captured
        FROM transactions t GROUP BY 1
    ), credits_of AS (
        SELECT order_id, jsonb_agg(to_jsonb(c) - 'order_id' ORDER BY number) AS rows,
            sum(amount) FILTER (WHERE state = 'refunded') AS amount
        FROM credits c GROUP BY 1
    ), restocked AS (
        SELECT order_id, (line->>0)::bigint AS product_id, sum((line->>1)::int) AS units
        FROM credits c CROSS JOIN LATERAL jsonb_array_elements(c.lines) line WHERE restock GROUP BY 1, 2
    ), units AS (
        INSERT INTO orders_archivedunits AS u (product_id, quantity)
        SELECT product_id, sum(quantity - coalesce(units, 0))
        FROM (SELECT order_id, product_id, sum(quantity) AS quantity FROM lines GROUP BY 1, 2) of_products
        JOIN journeys USING (order_id) LEFT JOIN restocked USING (order_id, product_id) WHERE stock = 'sold'
        GROUP BY 1 ORDER BY 1
        ON CONFLICT (product_id) DO UPDATE SET quantity = u.quantity + excluded.quantity
    )
    INSERT INTO orders_archivedorder (id, uuid, owner_id, month, kept_amount, document)
    SELECT o.id, o.uuid, o.owner_id, date_trunc('month', o.placed_at AT TIME ZONE 'UTC'),
           CASE WHEN j.status = 'completed' AND j.payment = 'expired'
                THEN coalesce(t.captured, 0) - coalesce(c.amount, 0)
                WHEN j.status = 'completed'
                THEN o.goods_amount + o.adjustment_amount + j.shipping_amount - coalesce(c.amount, 0) ELSE 0 END,
           jsonb_build_object(
               'order', to_jsonb(o), 'journey', to_jsonb(j) - 'order_id',
               'lines', coalesce(l.rows, '[]'), 'events', coalesce(e.rows, '[]'),
               'transactions', coalesce(t.rows, '[]'), 'credits', coalesce(c.rows, '[]'))
    FROM orders o JOIN journeys j ON j.order_id = o.id LEFT JOIN lines_of l ON l.order_id = o.id
    LEFT JOIN credits_of c ON c.order_id = o.id
    LEFT JOIN events_of e ON e.order_id = o.id LEFT JOIN transactions_of t ON t.order_id = o.id
    ORDER BY o.id
    RETURNING month
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Moved:
    """What one transaction moved: orders by month, duration."""

    months: Counter[date]
    seconds: float


def move(*, before: datetime) -> Iterator[Moved]:
    """Move orders placed and ended before a moment, oldest first, a window per step."""
    last_id = 0
    while window := _window(last_id):
        last_id = max(window)
        old = [order_id for order_id, placed_at in window.items() if placed_at < before]
        if not old:
            return  # ids rise with time
        started = time.perf_counter()
        months = _move(old, before)
        yield Moved(months, time.perf_counter() - started)


def _window(after: int) -> dict[int, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(NEXT, [after, WINDOW])
        return dict(cursor.fetchall())


def _move(order_ids: Sequence[int], before: datetime) -> Counter[date]:
    with transaction.atomic(), connection.cursor() as cursor:
        ids = Journey.objects.lock_archivable(order_ids, ended_before=before)
        if not ids:
            return Counter()
        cursor.execute(MOVE, {"ids": ids})
        months = Counter(row[0] for row in cursor.fetchall())
        faults.point("archive.before_commit")
    return months


def months_before(now: datetime, months: int) -> datetime:
    """Return the month's start, `months` ago."""
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    return now.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0)


def read(month: date) -> Iterator[str]:
    """Yield a month's archived orders as JSON, by id, in constant memory."""
    orders = ArchivedOrder.objects.filter(month=month).order_by("id")
    texts = orders.values_list(Cast("document", TextField()), flat=True)
    with transaction.atomic():
        yield from texts.iterator(chunk_size=WINDOW)


def order_of(archived: ArchivedOrder) -> Order:
    """Return an archived order. Read-only: saving would duplicate it."""
    known: Order | None = archived.__dict__.get("order")
    if known is None:
        (known,) = _rows(Order, [archived.document["order"]])
        (known.journey,) = _rows(Journey, [archived.document["journey"] | {"order_id": archived.pk}])
        archived.__dict__["order"] = known  # lists read it once per column
    return known


def rows_of(archived: ArchivedOrder, name: str, model: type[Row]) -> list[Row]:
    """Return an archived order's `lines`, `events`, `transactions` or `credits`."""
    return _rows(model, [row | {"order_id": archived.pk} for row in archived.document.get(name, [])])


def _rows(model: type[Row], rows: Iterable[dict[str, Any]]) -> list[Row]:
    """Accept rows stored by other releases."""
    fields = {field.column: field for field in model._meta.concrete_fields if field.column}
    return [
        model(**{fields[name].attname: fields[name].to_python(row[name]) for name in row if name in fields})
        for row in rows
    ]
