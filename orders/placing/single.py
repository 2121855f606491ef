"""Placement of one order in a single statement."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import OperationalError

import faults
from api.models import IdempotencyKey, KeyReused
from database.arrays import document, numbers
from database.prepared import execute
from inventory.catalogue import cached_products
from orders import log_context, wakeup
from orders.models import Order, OrderLine, new_uuid, order_number
from orders.placing.pricing import REFUSALS, Catalogue, NewOrder, PlacedLine, price_lines
from orders.queries import OrderArchived


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key; the fingerprint identifies the request."""

    text: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """A stored order; `replayed` if by an earlier request."""

    order_id: int
    uuid: UUID
    placed_at: datetime
    goods_amount: Decimal
    lines: Sequence[PlacedLine | OrderLine]
    replayed: bool = False

    @property
    def number(self) -> str:
        """The order number."""
        return order_number(self.order_id, self.placed_at)


# One statement: one round trip, one transaction. It stores nothing if a product has changed since pricing. OFFSET 0
# forces a lookup per product: the planner would read the whole catalogue.
PLACE = """
    WITH lines AS (
        SELECT p.id, p.sku, p.name, wanted.quantity, p.price
        FROM unnest(%(product_ids)s::bigint[], %(versions)s::bigint[], %(quantities)s::int[], %(prices)s::numeric[])
             AS wanted(product_id, version, quantity, price)
        CROSS JOIN LATERAL (
            SELECT * FROM inventory_product WHERE id = wanted.product_id OFFSET 0
        ) p WHERE p.version = wanted.version AND p.price = wanted.price
    ), taken AS (
        {taken}
    ), placed AS (
        INSERT INTO orders_order (id, uuid, owner_id, customer_id, customer_name, email, currency, goods_amount,
                                  weight_grams, shipping_address, country, payment_token, placed_at)
        SELECT id, %(uuid)s::uuid, %(owner_id)s::bigint, %(customer_id)s::text, %(customer_name)s::text,
               %(email)s::text, %(currency)s::text, %(goods_amount)s::numeric, %(weight_grams)s::bigint,
               %(shipping_address)s::jsonb, %(country)s::text, %(payment_token)s::text, now()
        FROM taken RETURNING id, placed_at
    ), stored_lines AS (
        INSERT INTO orders_orderline (order_id, product_id, sku, product_name, quantity, unit_price)
        SELECT taken.id, lines.* FROM taken, lines
    ), journey AS (
        INSERT INTO orders_journey (order_id, status, sequence, due_at, attempts, stock, shipping, payment,
                                    outcome, reason, completion_requested, waiting_for, attention)
        SELECT id, 'pending', 1, CASE WHEN NOT %(hold)s::bool THEN now() END,
               0, '', '', '', '', '', false, '', '' FROM taken
    ), event AS (
        INSERT INTO orders_orderevent (order_id, sequence, type, progress, data)
        SELECT id, 1, 'order_placed', 0, %(event)s::jsonb FROM taken
    )
    SELECT id, placed_at, CASE WHEN NOT %(hold)s::bool THEN pg_notify(%(channel)s::text, '')::text END FROM placed
"""
IF_AS_PRICED = "WHERE (SELECT count(*) FROM lines) = %(line_count)s::int"
TAKE_ID = f"SELECT nextval('orders_order_id_seq') AS id {IF_AS_PRICED}"
# Waits for a concurrent transaction with the key; a stored key yields no id.
TAKE_KEY_AND_ID = f"""
        INSERT INTO orders_idempotencykey (owner_id, key, request_hash, status_code, answer)
        SELECT %(owner_id)s::bigint, %(key)s::text, %(fingerprint)s::bytea, 201,
               jsonb_build_object('orderId', nextval('orders_order_id_seq')) {IF_AS_PRICED}
        ON CONFLICT DO NOTHING RETURNING (answer->'orderId')::bigint AS id
"""
PLACE_ONCE, PLACE = PLACE.replace("{taken}", TAKE_KEY_AND_ID), PLACE.replace("{taken}", TAKE_ID)

# Attempts while the catalogue changes.
PRICINGS = 5


def place_order(*, new: NewOrder, key: Key | None = None, with_retired: bool = False) -> Placed:
    """Store an order at the catalogue's prices; a repeated key returns the first order. Raises one of REFUSALS."""
    faults.point("post.before_insert")
    with suppress(*REFUSALS):
        # A stale cache stores nothing, and is no reason to refuse.
        if placed := _store(new, key, Catalogue(new.lines, with_retired=with_retired, find=cached_products)):
            return placed
    for _ in range(PRICINGS):
        if key and (placed := _placed_before(new.owner_id, key)):
            return placed
        if placed := _store(new, key, Catalogue(new.lines, with_retired=with_retired)):
            return placed
    raise OperationalError("The catalogue changes too fast to price the order.")


def _store(new: NewOrder, key: Key | None, catalogue: "Catalogue") -> Placed | None:
    """Store the order; None for a stale catalogue or a stored key."""
    lines, amount = price_lines(new, catalogue)
    uuid = new_uuid()
    parameters = _place_parameters(new, lines, amount) | {
        "uuid": uuid,
        "versions": numbers(catalogue.version_of(line.product_id) for line in lines),
    }
    if key:
        parameters |= {"key": key.text, "fingerprint": key.fingerprint}
    for order_id, placed_at, _ in execute(PLACE_ONCE if key else PLACE, parameters):
        return Placed(order_id, uuid, placed_at, amount, lines)
    return None


def _placed_before(owner_id: int, key: Key) -> Placed | None:
    """Return the key's order, if any. Raises KeyReused or OrderArchived."""
    stored = IdempotencyKey.objects.filter(owner_id=owner_id, key=key.text).first()
    if stored is None:
        return None
    if bytes(stored.request_hash) != key.fingerprint:
        raise KeyReused
    order = Order.objects.filter(pk=stored.answer["orderId"]).first()
    if order is None:
        raise OrderArchived(stored.answer["orderId"])
    return Placed(
        order.pk, order.uuid, order.placed_at, order.goods_amount, list(order.lines.all()), replayed=True
    )


def _place_parameters(new: NewOrder, lines: list[PlacedLine], amount: Decimal) -> dict[str, Any]:
    event = {"amount": str(amount), "currency": new.currency, "held": new.hold} | log_context.of_request()
    return {
        "owner_id": new.owner_id,
        "customer_id": new.customer_id,
        "customer_name": new.customer_name,
        "email": new.email,
        "currency": new.currency,
        "goods_amount": amount,
        "weight_grams": sum(line.weight_grams * line.quantity for line in lines),
        "shipping_address": document(new.shipping_address or {}),
        "country": new.country,
        "payment_token": new.payment_token,
        "product_ids": numbers(line.product_id for line in lines),
        "quantities": numbers(line.quantity for line in lines),
        "prices": numbers(line.unit_price for line in lines),
        "line_count": len(lines),
        "hold": new.hold,
        "event": document(event),
        "channel": wakeup.DUE,
    }
