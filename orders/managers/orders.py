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
from database.arrays import Column, document, numbers, rows, texts
from database.prepared import execute
from inventory.managers import AS_GIVEN, AS_PRICED, WITH_NAMES
from orders import wakeup
from orders.managers.journeys import BULK_LANE, INSERT
from orders.managers.transactions import CurrentTransaction
from orders.rules.adjustments import Adjustment
from orders.rules.schedule import LIVE_LANE
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
    """A line to store, as priced. `number` is among the lines of its product. The order stores its adjustments."""

    product_id: int
    sku: str
    product_name: str
    quantity: int
    unit_price: Decimal
    weight_grams: int
    number: int = 0
    properties: Mapping[str, str] | None = None
    adjustments: Sequence[Adjustment] = ()

    @property
    def amount(self) -> Decimal:
        return self.unit_price * self.quantity


class Extras(NamedTuple):
    """What few orders have beside an `OrderRow`: adjustments, and lines whose prices, numbers or properties are given.

    An order without extras is stored by statements that do not name their columns.
    """

    adjustments: str  # a JSON document
    adjustment_amount: Decimal
    payment: str = ""  # the state of the payment leg


class Stored(NamedTuple):
    order_id: int
    uuid: UUID
    placed_at: datetime


TYPES = {name: get_args(hint)[1] for name, hint in get_type_hints(OrderRow, include_extras=True).items()}
NO_EXTRAS = Extras("null", Decimal(0))


class Shape(NamedTuple):
    """What a statement stores: the columns of orders, what they are selected from, and the columns of lines."""

    types: Mapping[str, str]
    selected: str
    line: str
    more_of_lines: str = ""
    priced: str = AS_PRICED
    amount: str = "goods_amount"  # in the first event

    @property
    def content(self) -> str:
        return ", ".join(name for name in self.types if name not in OF_JOURNEYS)


# Columns of journeys, not of orders.
OF_JOURNEYS = ("held", "payment")
CONTENT = ", ".join(name for name in TYPES if name not in OF_JOURNEYS)
LINE = "order_id, product_id, sku, product_name, quantity, unit_price"
PLAIN = Shape(TYPES, CONTENT, LINE)
WITH_EXTRAS = Shape(
    TYPES | {"adjustments": "jsonb", "adjustment_amount": "numeric", "payment": "text"},
    f"{CONTENT}, nullif(adjustments, 'null'::jsonb), adjustment_amount",
    f"{LINE}, number, properties",
    ", wanted.number, nullif(wanted.properties, 'null'::jsonb) AS properties",
    AS_GIVEN,
    "(goods_amount + adjustment_amount)",
)

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
        INSERT INTO orders_order (id, uuid, {{content}}, placed_at)
        SELECT id, {NEW_UUID}, {{selected}}, now() FROM wanted RETURNING id, uuid, placed_at
    ), lines AS (
        INSERT INTO orders_orderline ({{line}}) SELECT {{line}} FROM wanted_lines
    ), journeys AS (
        {INSERT}
    ), events AS (
        INSERT INTO orders_orderevent (order_id, sequence, type, progress, data, transaction_id)
        SELECT id, 1, 'order_placed', 0,
               jsonb_build_object('amount', {{amount}}::text, 'currency', currency, 'held', held)
                   || {{origin}}::jsonb,
               (SELECT {CurrentTransaction.template})
        FROM wanted
    )
"""  # noqa: S608
# Stores nothing if a product has changed since pricing.
ONE = """
    WITH products AS ({priced}), taken AS ({taken}), wanted AS (
        SELECT taken.id, {given} FROM taken
    ), wanted_lines AS (
        SELECT taken.id AS order_id, products.* FROM taken, products
    ), {inserts}
    SELECT id, uuid, placed_at, CASE WHEN NOT %(held)s::bool THEN pg_notify(%(channel)s::text, '')::text END FROM placed
"""
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
        extras: Extras | None = None,
        key: str = "",
        fingerprint: bytes = b"",
    ) -> Stored | None:
        """Store one order; `versions` are those of the lines' products. `extras`: None at the catalogue's prices.

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
        if extras is not None:
            parameters |= extras._asdict() | {
                "numbers": numbers(line.number for line in lines),
                "properties": texts(document(line.properties) for line in lines),
            }
        statement = self._one[bool(key), extras is not None]
        for order_id, uuid, placed_at, _ in execute(statement, parameters):
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
        extras: Mapping[int, Extras] | None = None,
    ) -> None:
        """Store orders under ids of `take_ids`; lines come with their order's id. Runs in the caller's transaction.

        Raises IntegrityError if the owner has an order with one of the references.
        """
        columns = zip(TYPES.items(), zip(*orders.values(), strict=True), strict=True)
        wanted: dict[str, Column] = {"id": ("bigint", list(orders))}
        wanted |= {name: (type_, values) for (name, type_), values in columns}
        wanted_lines = _line_columns(lines)
        if extras:
            wanted |= _extra_columns([extras.get(order_id, NO_EXTRAS) for order_id in orders])
            wanted_lines |= _extra_line_columns(lines)
        shape = WITH_EXTRAS if extras else PLAIN
        order_rows, order_values = rows(wanted)
        line_rows, line_values = rows(wanted_lines)
        statement = MANY.format(
            orders=order_rows,
            lines=line_rows,
            more=shape.more_of_lines,
            inserts=self._inserts("%s", shape, lane=BULK_LANE),
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
    def _one(self) -> dict[tuple[bool, bool], str]:
        """The statements that store one order, by whether it has a key, and extras."""
        with_key = TAKE_KEY.format(answer=f"jsonb_build_object('orderId', {NEXT_ID}) {IF_AS_PRICED}")
        return {
            (has_key, has_extras): ONE.format(
                priced=shape.priced,
                taken=with_key if has_key else TAKE_ID,
                given=", ".join(f"%({name})s::{type_} AS {name}" for name, type_ in shape.types.items()),
                inserts=self._inserts("%(origin)s", shape),
            )
            for has_key in (False, True)
            for has_extras, shape in ((False, PLAIN), (True, WITH_EXTRAS))
        }

    def _inserts(self, origin: str, shape: Shape, *, lane: str = str(LIVE_LANE)) -> str:
        given = {name: name for name in shape.types if name == "payment"}
        defaults = self._journey_defaults | given
        return INSERTS.format(
            content=shape.content,
            selected=shape.selected,
            line=shape.line,
            amount=shape.amount,
            columns=", ".join(defaults),
            defaults=", ".join(defaults.values()),
            origin=origin,
            lane=lane,
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


def _extra_columns(extras: Sequence[Extras]) -> dict[str, Column]:
    return {
        "adjustments": ("jsonb", [each.adjustments for each in extras]),
        "adjustment_amount": ("numeric", [each.adjustment_amount for each in extras]),
        "payment": ("text", [each.payment for each in extras]),
    }


def _extra_line_columns(lines: Sequence[tuple[int, PlacedLine]]) -> dict[str, Column]:
    return {
        "number": ("int", [line.number for _, line in lines]),
        "properties": ("jsonb", [document(line.properties) for _, line in lines]),
    }


def _literal(value: object) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f"'{value}'"
