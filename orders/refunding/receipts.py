"""The command that records a payment which arrived, or was paid back, by hand."""

from decimal import Decimal
from typing import NamedTuple

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction

from iso.currencies import format_amount, has_decimals_for, rounded
from orders.commands import NotPossible
from orders.models import Journey, Order
from orders.payment import answers
from orders.refunding.amounts import MoreThanLeft, TooManyDecimals
from orders.status import UNDONE, Status
from orders.workflow import BY_HAND, JourneyState
from payments import receipts
from payments.gateways import gateway
from payments.gateways.manual import NAME
from payments.ledger import Kind
from payments.models import ManualEntry, Transaction

NOTHING = Decimal(0)


class Receipt(NamedTuple):
    """What has arrived for an order. `missing` is None until shipping is priced, `surplus` is the customer's."""

    received: Decimal
    paid_back: Decimal
    missing: Decimal | None
    surplus: Decimal


class Movement(NamedTuple):
    """Money that arrived or was paid back, under the external reference of its transfer or slip."""

    amount: Decimal
    reference: str
    is_paid_back: bool = False


def is_paid_by_hand(order: Order) -> bool:
    return (order.payment_gateway or settings.PAYMENT_GATEWAY) == NAME


def receipt_of(order: Order) -> Receipt:
    """Return what has arrived for an order of the gateway `manual`."""
    found, currency = _receipt_of(order), order.currency
    return Receipt(
        received=rounded(found.received, currency),
        paid_back=rounded(found.paid_back, currency),
        missing=None if found.missing is None else rounded(found.missing, currency),
        surplus=rounded(found.surplus, currency),
    )


def _receipt_of(order: Order) -> Receipt:
    account = receipts.account_of(str(order.uuid))
    has_ended = order.journey.status in UNDONE
    owed = account.owed
    if owed is None and has_ended:
        owed = NOTHING
    elif owed is None and order.journey.shipping_amount is not None:
        owed = order.total_amount
    held = account.received - account.paid_back
    if owed is None:
        return Receipt(account.received, account.paid_back, None, NOTHING)
    missing = NOTHING if has_ended else max(owed - held, NOTHING)
    return Receipt(account.received, account.paid_back, missing, max(held - owed, NOTHING))


def record_payment(*, order: Order, movement: Movement, recorded_by: int | None) -> Receipt:
    """Record money of an order of the gateway `manual`, once per external reference.

    With the whole total the order goes on at once. What is too much is escalated until it is recorded as paid back.
    Raises NotPossible, MoreThanLeft, TooManyDecimals or payments.receipts.ReferenceReused.
    """
    if not is_paid_by_hand(order):
        raise NotPossible(action="paid by hand", status=Status(order.journey.status))
    if not has_decimals_for(movement.amount, order.currency):
        raise TooManyDecimals("amount", order.currency)
    with transaction.atomic():
        journeys = Journey.objects.lock([order.pk])
        order.journey.refresh_from_db()
        left = receipt_of(order).surplus
        if receipts.record(
            kind=ManualEntry.Kind.RETURNED if movement.is_paid_back else ManualEntry.Kind.RECEIVED,
            uuid=str(order.uuid),
            reference=movement.reference,
            amount=rounded(movement.amount, order.currency),
            currency=order.currency,
            recorded_by=recorded_by,
        ):
            if movement.is_paid_back and movement.amount > left:
                raise MoreThanLeft("amount", left)
            receipt = receipt_of(order)
            _apply(order, journeys, receipt)
            _note(order, movement, recorded_by)
    return receipt_of(order)


def _apply(order: Order, journeys: list[JourneyState], receipt: Receipt) -> None:
    for journey in journeys:
        much = format_amount(receipt.surplus, order.currency)
        if not receipt.surplus:
            journey.paid_back()
        elif journey.status in (Status.CANCELLED, Status.REJECTED):
            journey.owes_by_hand(f"{much} arrived after it was {journey.status}: {BY_HAND}")
        else:
            journey.owes_by_hand(f"{much} too much arrived: {BY_HAND}")
    Journey.objects.save_all(journey for journey in journeys if journey.has_changed)
    row = Transaction.objects.filter(order_id=order.pk, kind=Kind.AUTHORIZE).first()
    # A call that is not recorded yet has still to begin, and finds the amount.
    if row is not None and (outcome := gateway(NAME).find(key=row.key)) is not None:
        answers.record_late_outcome(Kind.AUTHORIZE, order.pk, outcome, number=row.number)


def _note(order: Order, movement: Movement, recorded_by: int | None) -> None:
    if recorded_by is not None:
        verb = "Paid back" if movement.is_paid_back else "Received"
        message = f"{verb} {format_amount(movement.amount, order.currency)} by hand ({movement.reference})."
        LogEntry.objects.log_actions(
            recorded_by, Order.objects.filter(pk=order.pk), CHANGE, change_message=message
        )
