"""Restores an archived order to the live tables, for what happens to its money. It is archived again like any other."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Model, Q

import faults
from orders.models import Credit, Journey, Order, OrderEvent, OrderLine
from payments.models import KINDS, Transaction, number_of

# By its name in the document. `one`: an object, else a list of them.
PARTS: Mapping[str, type[Model]] = {
    "order": Order,
    "journey": Journey,
    "lines": OrderLine,
    "events": OrderEvent,
    "transactions": Transaction,
    "credits": Credit,
}
ONE = ("order", "journey")

# A second process waits here for the first, and then finds nothing.
TAKE = "DELETE FROM orders_archivedorder WHERE id = %s RETURNING document::text"

# The database reads the document itself: amounts keep their decimals. Columns that it lacks take their defaults.
INSERT = """
    INSERT INTO {table} ({columns}{more})
    SELECT {columns}{values} FROM jsonb_populate_recordset(NULL::{table}, %(rows)s::jsonb) AS r
"""

# Documents of releases that knew one transaction of each kind.
NUMBERED = {
    "number": f"array_position(ARRAY{KINDS}, r.kind::text)",
    "parent": f"CASE r.kind WHEN 'authorize' THEN NULL WHEN 'refund' THEN {number_of('capture')}"
    f" ELSE {number_of('authorize')} END",
    "key": "r.reference || ':' || r.kind",
}

# Its reference may be another order's by now: then it keeps it as a fact.
UNLESS_TAKEN = " ON CONFLICT (external_reference, owner_id) WHERE external_reference <> '' DO NOTHING"
WITHOUT_REFERENCE = """
    SELECT jsonb_build_array(jsonb_set(jsonb_set(o, '{external_reference}', '""'), '{metadata,formerReference}',
                                       o->'external_reference'))::text
    FROM (SELECT %s::jsonb->0) AS orders (o)
"""

# Its units are live again. In the archive's order, against deadlocks.
UNITS = """
    WITH units AS (
        SELECT l.product_id, l.quantity - coalesce(c.units, 0) AS quantity
        FROM (SELECT order_id, product_id, sum(quantity) AS quantity FROM orders_orderline
              WHERE order_id = %(id)s GROUP BY 1, 2) l JOIN orders_journey j USING (order_id)
        LEFT JOIN (
            SELECT (line->>0)::bigint AS product_id, sum((line->>1)::int) AS units
            FROM orders_credit c CROSS JOIN LATERAL jsonb_array_elements(c.lines) line
            WHERE c.order_id = %(id)s AND restock GROUP BY 1
        ) c USING (product_id)
        WHERE j.stock = 'sold'
    ), locked AS (
        SELECT product_id FROM orders_archivedunits WHERE product_id IN (SELECT product_id FROM units)
        ORDER BY product_id FOR UPDATE
    )
    UPDATE orders_archivedunits a SET quantity = a.quantity - u.quantity
    FROM units u JOIN locked USING (product_id) WHERE a.product_id = u.product_id
"""


@dataclass(slots=True)
class Restored:
    """Whether the order stays restored although it has nothing to do and needs no attention."""

    keep: bool = False


@contextmanager
def restored(order_id: int) -> Iterator[Restored]:
    """Restore an order for a command or news, in one transaction.

    It stays in the archive unless it has something to do afterwards, needs attention, or is to be kept. Read what the
    answer needs before the end.
    """
    with transaction.atomic():
        was_archived = _restore(order_id)
        decision = Restored()
        yield decision
        needed = Q(due_at__isnull=False) | ~Q(attention="")
        if was_archived and not decision.keep and not Journey.objects.filter(needed, pk=order_id).exists():
            transaction.set_rollback(True)
        faults.point("restore.before_commit")


def _restore(order_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [order_id])
        found = cursor.fetchone()
        if found is None:
            return False
        (text,) = found
        document = json.loads(text)
        for name, model in PARTS.items():
            rows = [document[name]] if name in ONE else document.get(name, [])
            if rows:
                _insert(cursor, model, rows[0], {"id": order_id, "rows": _part(cursor, text, name)})
        cursor.execute(UNITS, {"id": order_id})
    return True


def _part(cursor: Any, text: str, name: str) -> str:
    cursor.execute("SELECT (%s::jsonb->%s)::text", [text, name])
    return str(cursor.fetchone()[0]) if name not in ONE else f"[{cursor.fetchone()[0]}]"


def _insert(cursor: Any, model: type[Model], row: Mapping[str, Any], values: dict[str, Any]) -> None:
    known = [field.column for field in model._meta.concrete_fields if field.column]
    more = {} if model is Order else {"order_id": "%(id)s::bigint"}
    if model is Transaction:
        more |= {name: value for name, value in NUMBERED.items() if name not in row}
    columns = [column for column in known if column in row and column not in more]
    statement = INSERT.format(
        table=model._meta.db_table,
        columns=", ".join(columns),
        more="".join(f", {name}" for name in more),
        values="".join(f", {value}" for value in more.values()),
    )
    if model is not Order:
        cursor.execute(statement, values)
        return
    cursor.execute(statement + UNLESS_TAKEN, values)
    if not cursor.rowcount:
        cursor.execute(WITHOUT_REFERENCE, [values["rows"]])
        cursor.execute(statement, values | {"rows": cursor.fetchone()[0]})
