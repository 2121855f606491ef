"""Orders as they are placed: one definition of columns, for one order and for thousands."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, NamedTuple, cast, get_args, get_type_hints
from uuid import UUID

import msgspec
from django.db import connection, models
from django.db.models.fields import NOT_PROVIDED

from api.managers import TAKE_KEY
from database.arrays import Column, document, numbers, rows
from database.prepared import execute
from inventory.managers import AS_PRICED, WITH_NAMES
from orders import wakeup
from orders.managers.journeys import BULK_LANE, INSERT, LIVE_LANE
from orders.managers.transactions import CurrentTransaction
from orders.status import Status

# --- Columns ----------------------------------------------------------------------------------------------

Text = Annotated[str, "text"]
BigInt = Annotated[int, "bigint"]
Numeric = Annotated[Decimal, "numeric"]
Json = Annotated[str, "jsonb"]
Bool = Annotated[bool, "bool"]


class OrderRow(NamedTuple):
    owner_id: BigInt
    customer_id: Text
    customer_name: Text
    email: Text
    currency: Text
    goods_amount: Numeric
    weight_grams: BigInt
    shipping_address: Json
    country: Text
    payment_token: Text
    payment_gateway: Text
    external_reference: Text
    metadata: Json
    language: Text
    held: Bool


class PlacedLine(msgspec.Struct, frozen=True, gc=False):
    """A line to store, as priced."""

    product_id: int
    sku: str
    product_name: str
    quantity: int
    unit_price: Decimal
    weight_grams: int


class Stored(NamedTuple):
    order_id: int
    uuid: UUID
    placed_at: datetime


TYPES = {name: get_args(hint)[1] for name, hint in get_type_hints(OrderRow, include_extras=True).items()}
CONTENT = ", ".join(name for name in TYPES if name != "held")
LINE = "order_id, product_id, sku, product_name, quantity, unit_price"

# Its time prefix keeps inserts at the end of the index.
NEW_UUID = """
    encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send((extract(epoch FROM now()) * 1000)::bigint) FROM 3) FROM 1), 52, 1), 53, 1), 'hex')::uuid
"""

# The index that refuses a second order of an account with the same reference.
REFERENCE_INDEX = "orders_reference_of_owner"

# --- Statements -------------------------------------------------------------------------------------------

# The transaction's number once per statement: the column's default runs per event.
INSERTS = f"""
    placed AS (
        INSERT INTO orders_order (id, uuid, {CONTENT}, placed_at)
        SELECT id, {NEW_UUID}, {CONTENT}, now() FROM wanted RETURNING id, uuid, placed_at
    ), lines AS (
        INSERT INTO orders_orderline ({LINE}) SELECT {LINE} FROM wanted_lines
    ), journeys AS (
        {INSERT}
    ), events AS (
        INSERT INTO orders_orderevent (order_id, sequence, type, progress, data, transaction_id)
        SELECT id, 1, 'order_placed', 0,
               jsonb_build_object('amount', goods_amount::text, 'currency', currency, 'held', held)
                   || {{origin}}::jsonb,
               (SELECT {CurrentTransaction.template})
        FROM wanted
    )
"""  # noqa: S608
# Stores nothing if a product has changed since pricing.
ONE = f"""
    WITH products AS ({AS_PRICED}), taken AS ({{taken}}), wanted AS (
        SELECT taken.id, {", ".join(f"%({name})s::{type_} AS {name}" for name, type_ in TYPES.items())} FROM taken
    ), wanted_lines AS (
        SELECT taken.id AS order_id, products.* FROM taken, products
    ), {{inserts}}
    SELECT id, uuid, placed_at, CASE WHEN NOT %(held)s::bool THEN pg_notify(%(channel)s::text, '')::text END FROM placed
"""  # noqa: S608
MANY = f"""
    WITH wanted AS MATERIALIZED (SELECT * FROM {{orders}} AS o), wanted_lines AS ({WITH_NAMES}), {{inserts}}
    SELECT pg_notify(%s, '') WHERE EXISTS (SELECT FROM wanted WHERE NOT held)
"""  # noqa: S608
IF_AS_PRICED = "WHERE (SELECT count(*) FROM products) = %(line_count)s::int"
NEXT_ID = "nextval('orders_order_id_seq')"
TAKE_ID = f"SELECT {NEXT_ID} AS id {IF_AS_PRICED}"
TAKE_IDS = f"SELECT now(), array_agg({NEXT_ID}) FROM generate_series(1, %s)"  # noqa: S608


class OrderManager(models.Manager):
    def place(
        self,
        row: OrderRow,
        lines: Sequence[PlacedLine],
        *,
        versions: Sequence[int],
        origin: Mapping[str, Any],
        key: str = "",
        fingerprint: bytes = b"",
    ) -> Stored | None:
        """Store one order in a statement of its own; `versions` are those of the lines' products.

        None, and nothing is stored, if a product has changed or the idempotency key is known. Waits for a
        concurrent transaction with the key. Raises IntegrityError if the owner has an order with this reference.
        """
        parameters = row._asdict() | {
            "product_ids": numbers(line.product_id for line in lines),
            "quantities": numbers(line.quantity for line in lines),
            "prices": numbers(line.unit_price for line in lines),
            "versions": numbers(versions),
            "line_count": len(lines),
            "origin": document(origin),
            "channel": wakeup.DUE,
        }
        if key:
            parameters |= {"key": key, "fingerprint": fingerprint}
        for order_id, uuid, placed_at, _ in execute(self._one_with_key if key else self._one, parameters):
            return Stored(order_id, uuid, placed_at)
        return None

    def revoke_links(self, order_id: int) -> None:
        self.filter(pk=order_id).update(link_version=models.F("link_version") + 1)

    def place_many(
        self,
        orders: Mapping[int, OrderRow],
        lines: Sequence[tuple[int, PlacedLine]],
        *,
        origin: Mapping[str, Any],
    ) -> None:
        """Store orders under ids of `take_ids`; lines come with their order's id. Runs in the caller's transaction.

        Raises IntegrityError if the owner has an order with one of the references.
        """
        columns = zip(TYPES.items(), zip(*orders.values(), strict=True), strict=True)
        wanted: dict[str, Column] = {"id": ("bigint", list(orders))}
        wanted |= {name: (type_, values) for (name, type_), values in columns}
        order_rows, order_values = rows(wanted)
        line_rows, line_values = rows(_line_columns(lines))
        statement = MANY.format(
            orders=order_rows, lines=line_rows, inserts=self._inserts("%s", lane=BULK_LANE)
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, [*order_values, *line_values, document(origin), wakeup.DUE])

    def take_ids(self, count: int) -> tuple[datetime, list[int]]:
        """Return the transaction's time and that many new ids."""
        with connection.cursor() as cursor:
            cursor.execute(TAKE_IDS, [count])
            placed_at, ids = cursor.fetchone()
        return placed_at, ids

    @cached_property
    def _one(self) -> str:
        return ONE.format(taken=TAKE_ID, inserts=self._inserts("%(origin)s"))

    @cached_property
    def _one_with_key(self) -> str:
        taken = TAKE_KEY.format(answer=f"jsonb_build_object('orderId', {NEXT_ID}) {IF_AS_PRICED}")
        return ONE.format(taken=taken, inserts=self._inserts("%(origin)s"))

    def _inserts(self, origin: str, *, lane: str = str(LIVE_LANE)) -> str:
        defaults = self._journey_defaults
        return INSERTS.format(
            columns=", ".join(defaults), defaults=", ".join(defaults.values()), origin=origin, lane=lane
        )

    @cached_property
    def _journey_defaults(self) -> dict[str, str]:
        """The journey's columns at the start, as the model has them: a new one needs no line here."""
        journey = self.model._meta.get_field("journey").related_model
        fields = [
            field
            for field in cast("type[models.Model]", journey)._meta.concrete_fields
            if not (field.primary_key or field.null) and field.db_default is NOT_PROVIDED
        ]
        return {str(field.column): _literal(field.get_default()) for field in fields} | {
            "status": _literal(Status.PENDING.value)
        }


def _line_columns(lines: Sequence[tuple[int, PlacedLine]]) -> dict[str, Column]:
    return {
        "order_id": ("bigint", [order_id for order_id, _ in lines]),
        "product_id": ("bigint", [line.product_id for _, line in lines]),
        "quantity": ("int", [line.quantity for _, line in lines]),
        "unit_price": ("numeric", [line.unit_price for _, line in lines]),
    }


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f"'{value}'"
