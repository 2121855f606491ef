"""Placement of one order in a single statement."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, OperationalError

import faults
from api.models import IdempotencyKey, KeyReused
from inventory.catalogue import cached_products
from orders.managers import PlacedLine
from orders.models import Order, OrderLine, order_number
from orders.placing import origin, references, totals
from orders.placing.pricing import REFUSALS, Catalogue, NewOrder, ReferenceTaken, price
from orders.queries import OrderArchived
from orders.rules.adjustments import Adjustment


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
    weight_grams: int = 0
    adjustments: Sequence[Adjustment] = ()
    adjustment_amount: Decimal = Decimal(0)

    @property
    def number(self) -> str:
        return order_number(self.order_id, self.placed_at)


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


def _store(new: NewOrder, key: Key | None, catalogue: Catalogue) -> Placed | None:
    """Store the order; None for a stale catalogue or a stored key."""
    priced = price(new, catalogue)
    try:
        stored = Order.objects.place(
            priced.row(),
            priced.lines,
            versions=[catalogue.version_of(line.product_id) for line in priced.lines],
            origin=origin.of_request(),
            extras=priced.extras,
            key=key.text if key else "",
            fingerprint=key.fingerprint if key else b"",
        )
    except IntegrityError as error:
        if not references.is_taken(error):
            raise
        _refuse_taken(new)
        return None
    if not stored:
        return None
    return Placed(
        *stored,
        priced.amount,
        priced.lines,
        weight_grams=totals.weight_of(priced.lines),
        adjustments=priced.adjustments,
        adjustment_amount=priced.adjustment_amount,
    )


def _refuse_taken(new: NewOrder) -> None:
    """Raise ReferenceTaken, unless the order that had the reference was archived just now."""
    reference = new.external_reference
    if number := references.numbers_of([reference], owner_id=new.owner_id).get(reference):
        raise ReferenceTaken(reference=reference, number=number)


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
        order.pk,
        order.uuid,
        order.placed_at,
        order.goods_amount,
        list(order.lines.all()),
        replayed=True,
        weight_grams=order.weight_grams,
        adjustments=order.adjustment_list,
        adjustment_amount=order.adjustment_amount,
    )
