"""Questions about orders: for people, and for the steps of the journey."""

from collections.abc import Sequence
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import F, QuerySet

from inventory.stock import Wanted
from orders.models import Order, OrderLine, id_of_number
from payments.ledger import Request
from shipping.quotes import Parcel


class OrderNotFound(Exception):
    """There is no such order, or none that this user may see."""

    def __init__(self, reference: object) -> None:
        super().__init__(f"There is no order {str(reference)[:80]}.")
        self.reference = reference


# --- For people -------------------------------------------------------------------------------------------


def visible_to(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Order]:
    """Return the orders a user may see: staff all, a customer those placed under their account."""
    orders = Order.objects.select_related("journey")
    return orders if getattr(user, "is_staff", False) else orders.filter(owner_id=user.pk)


def by_reference(user: AbstractBaseUser | AnonymousUser, reference: str) -> Order:
    """Return the order that an id, a UUID or an order number names; OrderNotFound if the user may not see it."""
    order = visible_to(user).filter(**_lookup(reference)).first()
    if order is None:
        raise OrderNotFound(reference)
    return order


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


# --- For the steps ----------------------------------------------------------------------------------------


def wanted_units(order_ids: Sequence[int]) -> list[Wanted]:
    """Return what the orders want of each product."""
    lines = OrderLine.objects.filter(order_id__in=order_ids).order_by("order_id", "product_id")
    return [Wanted(*row) for row in lines.values_list("order_id", "product_id", "quantity")]


def parcels(order_ids: Sequence[int]) -> list[Parcel]:
    """Return what shipping needs to know of the orders."""
    columns = ("id", "country", "weight_grams", "goods_amount", "currency")
    return [Parcel(*row) for row in Order.objects.filter(id__in=order_ids).order_by().values_list(*columns)]


def charges(order_ids: Sequence[int]) -> list[Request]:
    """Return what the orders owe: goods and quoted shipping, on the card they were placed with."""
    owed = F("goods_amount") + F("journey__shipping_amount")
    columns = ("id", "uuid", owed, "currency", "payment_token")
    rows = Order.objects.filter(id__in=order_ids).order_by().values_list(*columns)
    return [
        Request(order_id=order_id, reference=str(uuid), amount=amount, currency=currency, token=token)
        for order_id, uuid, amount, currency, token in rows
    ]
