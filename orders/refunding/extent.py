"""How much of an order is refunded. Derived from the payment leg, its captures and the credits, never stored."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum

from django.db.models import Case, Exists, F, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Mod

from orders.legs import CAPTURED_BY_STAFF, PAYMENT
from orders.models import Credit, Journey, Order
from orders.status import UNDONE
from payments import ledger
from payments.balance import Entry, balance
from payments.models import Transaction, number_of


class RefundState(StrEnum):
    """Whether nothing, a part or all of what was captured is refunded."""

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
# Orders of which perhaps not all was captured: the ledger has the sum.
CAPTURED_IN_PARTS = (*CAPTURED_BY_STAFF, PAYMENT.REFUNDED)
REVERSED = Transaction.objects.filter(
    order_id=OuterRef("order_id"), kind=Transaction.Kind.REVERSAL, parent=OuterRef("number")
)
CAPTURED = Coalesce(
    Subquery(
        Transaction.objects.filter(
            ~Exists(REVERSED),
            order_id=OuterRef("pk"),
            kind=Transaction.Kind.CAPTURE,
            state=Transaction.State.SUCCEEDED,
        )
        .order_by()
        .values("order_id")
        .annotate(amount=Sum("amount"))
        .values("amount")
    ),
    Decimal(0),
)
# Captures that failed later.
LOST = Coalesce(
    Subquery(
        Transaction.objects.alias(of=Mod("parent", Value(10)))
        .filter(
            order_id=OuterRef("pk"), kind=Transaction.Kind.REVERSAL, of=number_of(Transaction.Kind.CAPTURE)
        )
        .order_by()
        .values("order_id")
        .annotate(amount=Sum("amount"))
        .values("amount")
    ),
    Decimal(0),
)
# As `refundable_of`.
REFUNDABLE = Case(When(journey__payment__in=CAPTURED_IN_PARTS, then=CAPTURED), default=TOTAL)


def in_parts(granted: Iterable[Credit]) -> Decimal:
    """Return what an order's credits refunded."""
    return sum((each.amount for each in granted if each.state == Credit.State.REFUNDED), Decimal(0))


def refundable_of(order: Order, book: Sequence[Entry] | None = None) -> Decimal:
    """Return what can be refunded at most: what was captured, or will be. Reads the ledger if no `book` is given."""
    if order.journey.payment not in CAPTURED_IN_PARTS:
        return order.total_amount
    return balance(ledger.entries_of([order.pk]).get(order.pk, []) if book is None else book).captured


def refund_state(payment: str, *, refunded: Decimal, refundable: Decimal) -> RefundState:
    """Return the state of an order by its payment leg and what was refunded, at least in parts."""
    if payment == PAYMENT.REFUNDED or 0 < refunded >= refundable:
        return RefundState.REFUNDED
    return RefundState.PARTLY if refunded else RefundState.NONE


def state_of(order: Order, *, refunded: Decimal, refundable: Decimal) -> RefundState:
    """Return the state of an order, given what was refunded, at least in parts, and is `refundable_of` it."""
    journey: Journey = order.journey
    return refund_state(journey.payment, refunded=refunded, refundable=refundable)


def annotated(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Return the orders with what was `refunded` of them in parts, and is `refundable` at most."""
    return orders.annotate(refunded=IN_PARTS, refundable=REFUNDABLE)


def narrowed(orders: QuerySet[Order], state: str) -> QuerySet[Order]:
    """Return the orders of a refund state."""
    with_parts = Credit.objects.filter(state=Credit.State.REFUNDED).order_by().values("order_id")
    in_full = Order.objects.filter(journey__status__in=UNDONE, journey__payment=PAYMENT.REFUNDED).order_by()
    some = Order.objects.filter(pk__in=with_parts).exclude(pk__in=in_full.values("pk")).order_by()
    some = some.alias(parts=IN_PARTS, refundable=REFUNDABLE)
    if state == RefundState.PARTLY:
        return orders.filter(pk__in=some.filter(parts__lt=F("refundable")).values("pk"))
    if state == RefundState.REFUNDED:
        # Each by its own index: an OR of both would read every order.
        by_parts = some.filter(parts__gte=F("refundable")).values("pk")
        return orders.filter(pk__in=in_full.values("pk").union(by_parts, all=True))
    return orders.exclude(pk__in=with_parts).exclude(journey__payment=PAYMENT.REFUNDED)
