"""Queries for users and for the steps."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import QuerySet

from database.arrays import numbers
from database.prepared import execute
from inventory.stock import Wanted
from orders.events import EventType
from orders.models import ArchivedOrder, Order, OrderEvent, id_of_number
from orders.permissions import sees_all_orders
from orders.status import Status
from payments.calls import Asked
from shipping.quotes import Parcel


class OrderNotFound(Exception):
    """There is no such visible order."""

    def __init__(self, reference: object) -> None:
        super().__init__(f"There is no order {str(reference)[:80]}.")
        self.reference = reference


class OrderArchived(OrderNotFound):
    """The order is in the archive. `order_id` is None where only a key led to it."""

    def __init__(self, reference: object, order_id: int | None = None) -> None:
        super().__init__(reference)
        self.order_id = order_id


# --- Canaries: real orders of a system account, hidden from users ---------------------------------------

CANARY_USERNAME = "canary"
# Cache of a missing account.
RECHECK_SECONDS = 30.0


class _Cache:
    owner_id: int | None = None
    until: float = 0.0


def canary_owner_id() -> int | None:
    """Return the canary account's id, if it exists; cached."""
    if _Cache.owner_id is None and time.monotonic() >= _Cache.until:
        _Cache.owner_id = User.objects.filter(username=CANARY_USERNAME).values_list("pk", flat=True).first()
        _Cache.until = time.monotonic() + RECHECK_SECONDS
    return _Cache.owner_id


def forget_canary_owner() -> None:
    _Cache.owner_id, _Cache.until = None, 0.0


def without_canaries(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Return the orders without canaries."""
    owner = canary_owner_id()
    return orders if owner is None else orders.exclude(owner_id=owner)


# --- For users --------------------------------------------------------------------------------------------


def visible_to(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Order]:
    """Return the user's orders; for permitted staff all but canaries."""
    orders = Order.objects.select_related("journey")
    return without_canaries(orders) if sees_all_orders(user) else orders.filter(owner_id=user.pk)


def by_reference(user: AbstractBaseUser | AnonymousUser, reference: str) -> Order:
    """Return a visible order by id, UUID or number. Raises OrderNotFound or OrderArchived."""
    order = visible_to(user).filter(**_lookup(reference)).first()
    if order is None:
        if visible_id := _archived_id(user, reference):
            raise OrderArchived(reference, visible_id)
        # It may have been restored in between.
        order = visible_to(user).filter(**_lookup(reference)).first()
    if order is None or _is_another_number(reference, order):
        raise OrderNotFound(reference)
    return order


def _archived_id(user: AbstractBaseUser | AnonymousUser, reference: str) -> int | None:
    own = {} if sees_all_orders(user) else {"owner_id": user.pk}
    return ArchivedOrder.objects.filter(**_lookup(reference), **own).values_list("pk", flat=True).first()


def _is_another_number(reference: str, order: Order) -> bool:
    """Catch mistyped numbers that end in another order's id."""
    return id_of_number(reference) is not None and reference != order.number


def any_by_reference(reference: str) -> Order:
    """Return any order, visible or not. Raises OrderNotFound."""
    order = Order.objects.select_related("journey").filter(**_lookup(reference)).first()
    if order is None:
        raise OrderNotFound(reference)
    return order


def archived_id(reference: str) -> int | None:
    """Return the id of any archived order, visible or not; None if there is none."""
    return ArchivedOrder.objects.filter(**_lookup(reference)).values_list("pk", flat=True).first()


def _lookup(reference: str) -> dict[str, object]:
    if reference.isascii() and reference.isdigit() and len(reference) < 19:
        return {"pk": int(reference)}
    by_number = id_of_number(reference)
    if by_number is not None:
        return {"pk": min(by_number, 2**63 - 1)}
    try:
        return {"uuid": UUID(reference)}
    except ValueError:
        raise OrderNotFound(reference) from None


def completion_times(orders: Iterable[Order]) -> dict[int, datetime]:
    """Return when orders were completed, later cancelled ones too; without a query if none is cancelled."""
    orders = list(orders)
    known = {order.pk: order.journey.finished_at for order in orders if _is_completed(order)}
    if cancelled := [order.pk for order in orders if order.journey.status in CANCELLED_STATUSES]:
        events = OrderEvent.objects.filter(order_id__in=cancelled, type=EventType.COMPLETED)
        known |= dict(events.values_list("order_id", "at"))
    return {order_id: moment for order_id, moment in known.items() if moment}


CANCELLED_STATUSES = frozenset({Status.CANCELLING, Status.CANCELLED})


def _is_completed(order: Order) -> bool:
    return order.journey.status == Status.COMPLETED


# --- For the steps ----------------------------------------------------------------------------------------
# SQL with one array instead of the ORM's placeholders.

UNITS = """
    SELECT order_id, product_id, quantity FROM orders_orderline
    WHERE order_id = ANY(%s::bigint[]) ORDER BY order_id, product_id
"""
PARCELS = """
    SELECT id, country, weight_grams, goods_amount, currency, adjustment_amount
    FROM orders_order WHERE id = ANY(%s::bigint[])
"""
CHARGES = """
    SELECT o.id AS order_id, o.uuid AS reference,
           o.goods_amount + o.adjustment_amount + j.shipping_amount AS amount, o.currency,
           o.payment_token AS token, '' AS parent, o.payment_gateway AS gateway
    FROM orders_order o JOIN orders_journey j ON j.order_id = o.id WHERE o.id = ANY(%s::bigint[])
"""


def wanted_units(order_ids: Sequence[int]) -> list[Wanted]:
    return [Wanted(*row) for row in _rows(UNITS, order_ids)]


def parcels(order_ids: Sequence[int]) -> list[Parcel]:
    return [Parcel(*row) for row in _rows(PARCELS, order_ids)]


def charges(order_ids: Sequence[int]) -> Asked:
    return Asked(CHARGES, [numbers(order_ids)])


def _rows(statement: str, order_ids: Sequence[int]) -> list[tuple[Any, ...]]:
    return execute(statement, [numbers(order_ids)])
