"""The command that records a payment which arrived by hand."""

from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction

from iso.currencies import format_amount
from orders.commands import NotPossible
from orders.models import Journey, Order
from orders.payment import answers
from orders.rules.undecided import BY_HAND
from orders.status import Status
from orders.workflow import JourneyState
from payments import receipts
from payments.gateways import gateway
from payments.gateways.manual import NAME
from payments.ledger import Kind
from payments.models import Transaction


class Receipt(NamedTuple):
    """What has arrived for an order. `missing` is None until shipping is priced."""

    received: Decimal
    missing: Decimal | None
    surplus: Decimal


def record_payment(*, order: Order, amount: Decimal, reference: str, recorded_by: int | None) -> Receipt:
    """Record an amount that arrived for an order of the gateway `manual`, once per external reference.

    With the whole total the order goes on at once; what is too much is escalated, to be paid back by hand.
    Raises NotPossible, or payments.receipts.ReferenceReused.
    """
    if (order.payment_gateway or settings.PAYMENT_GATEWAY) != NAME:
        raise NotPossible(action="paid by hand", status=Status(order.journey.status))
    with transaction.atomic():
        journeys = Journey.objects.lock([order.pk])
        received = receipts.receive(
            uuid=str(order.uuid),
            reference=reference,
            amount=amount,
            currency=order.currency,
            recorded_by=recorded_by,
        )
        receipt = _receipt(order, received.total)
        if received.is_new:
            _apply(order, journeys, receipt, amount)
            _note(order, amount, reference, recorded_by)
    return receipt


def _receipt(order: Order, received: Decimal) -> Receipt:
    shipping = order.journey.shipping_amount
    if shipping is None:
        return Receipt(received, None, Decimal(0))
    left = order.total_amount - received
    return Receipt(received, max(left, Decimal(0)), max(-left, Decimal(0)))


def _apply(order: Order, journeys: list[JourneyState], receipt: Receipt, amount: Decimal) -> None:
    for journey in journeys:
        if journey.status in (Status.CANCELLED, Status.REJECTED):
            much = format_amount(amount, order.currency)
            journey.call_for_attention(f"{much} arrived after it was {journey.status}: {BY_HAND}")
        elif receipt.surplus:
            much = format_amount(receipt.surplus, order.currency)
            journey.call_for_attention(f"{much} too much arrived: {BY_HAND}")
    Journey.objects.save_all(journey for journey in journeys if journey.has_changed)
    row = Transaction.objects.filter(order_id=order.pk, kind=Kind.AUTHORIZE).first()
    # A call that is not recorded yet has still to begin, and finds the amount.
    if row is not None and (outcome := gateway(NAME).find(key=row.key)) is not None:
        answers.record_late_outcome(Kind.AUTHORIZE, order.pk, outcome, number=row.number)


def _note(order: Order, amount: Decimal, reference: str, recorded_by: int | None) -> None:
    if recorded_by is not None:
        message = f"Received {format_amount(amount, order.currency)} by hand ({reference})."
        LogEntry.objects.log_actions(
            recorded_by, Order.objects.filter(pk=order.pk), CHANGE, change_message=message
        )
