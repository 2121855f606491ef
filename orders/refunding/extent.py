"""How much of an order is refunded. Derived from the payment leg and the credits, never stored."""

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum

from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from orders.legs import PAYMENT
from orders.models import Credit, Journey, Order
from orders.status import UNDONE


class RefundState(StrEnum):
    """Whether nothing, a part or all of what was paid is refunded."""

    NONE = "none"
    PARTLY = "partly"
    REFUNDED = "refunded"


# What credits refunded; a cancellation refunds the rest without one.
IN_PARTS = Coalesce(
    Subquery(
        Credit.objects.filter(order_id=OuterRef("pk"), state=Credit.State.REFUNDED)
        .order_by()
        .values("order_id")
        .annotate(amount=Sum("amount"))
        .values("amount")
    ),
    Decimal(0),
)
TOTAL = F("goods_amount") + F("adjustment_amount") + Coalesce(F("journey__shipping_amount"), Decimal(0))


def in_parts(granted: Iterable[Credit]) -> Decimal:
    """Return what an order's credits refunded."""
    return sum((each.amount for each in granted if each.state == Credit.State.REFUNDED), Decimal(0))


def refund_state(payment: str, *, refunded: Decimal, total: Decimal) -> RefundState:
    """Return the state of an order by its payment leg and what was refunded, at least in parts."""
    if payment == PAYMENT.REFUNDED or refunded >= total > 0:
        return RefundState.REFUNDED
    return RefundState.PARTLY if refunded else RefundState.NONE


def state_of(order: Order, *, refunded: Decimal) -> RefundState:
    """Return the state of an order, given what was refunded, at least in parts."""
    journey: Journey = order.journey
    return refund_state(journey.payment, refunded=refunded, total=order.total_amount)


def annotated(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Return the orders with what was `refunded` of them in parts."""
    return orders.annotate(refunded=IN_PARTS)


def narrowed(orders: QuerySet[Order], state: str) -> QuerySet[Order]:
    """Return the orders of a refund state."""
    with_parts = Credit.objects.filter(state=Credit.State.REFUNDED).order_by().values("order_id")
    in_full = Order.objects.filter(journey__status__in=UNDONE, journey__payment=PAYMENT.REFUNDED).order_by()
    some = Order.objects.filter(pk__in=with_parts).exclude(pk__in=in_full.values("pk")).order_by()
    some = some.alias(parts=IN_PARTS, total=TOTAL)
    if state == RefundState.PARTLY:
        return orders.filter(pk__in=some.filter(parts__lt=F("total")).values("pk"))
    if state == RefundState.REFUNDED:
        # Each by its own index: an OR of both would read every order.
        by_parts = some.filter(parts__gte=F("total")).values("pk")
        return orders.filter(pk__in=in_full.values("pk").union(by_parts, all=True))
    return orders.exclude(pk__in=with_parts).exclude(journey__payment=PAYMENT.REFUNDED)
