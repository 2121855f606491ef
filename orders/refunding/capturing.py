"""The command by which staff capture a part of what is authorized of a confirmed order."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.db import transaction

import faults
from iso.currencies import has_decimals_for, rounded
from orders import wakeup
from orders.commands import NotPossible
from orders.legs import CAPTURED_BY_STAFF
from orders.models import Journey, Order
from orders.payment import captures
from orders.payment.captures import CAPTURABLE, AuthorizationExpired, Authorized, CaptureUnderWay
from orders.queries import OrderNotFound
from orders.refunding.amounts import MoreThanLeft, TooManyDecimals
from orders.status import Status
from payments import ledger
from payments.balance import balance
from payments.expiry import expires_at
from payments.models import Transaction
from scheduling.slots import database_now


class MoreThanHeld(MoreThanLeft):
    """More is to be captured than is held."""

    def __init__(self, left: Decimal) -> None:
        super().__init__("amount", left)
        self.args = (f"Only {left} is left to capture.",)


class CapturedInFull(NotPossible):
    """Nothing is left to capture."""

    def __init__(self, status: Status) -> None:
        super().__init__(action="captured", status=status)
        self.args = ("The order is already captured in full.",)


def preview(order: Order, amount: Decimal | None) -> tuple[Decimal, Authorized]:
    """Return what a capture would take, and what is held before it. Raises as `capture_part`."""
    return _decide(
        Status(order.journey.status),
        order.journey.payment,
        ledger.entries_of([order.pk]).get(order.pk, []),
        amount,
        now=database_now(),
    )


def capture_part(
    *, order_id: int, amount: Decimal | None = None, reason: str = "", requested_by: int | None = None
) -> int:
    """Decide to capture an amount, or all that is left; a step carries it out. Return its number, from 1.

    Raises NotPossible, CapturedInFull, AuthorizationExpired, CaptureUnderWay, MoreThanHeld
    or TooManyDecimals.
    """
    with transaction.atomic():
        journeys = Journey.objects.lock([order_id])
        if not journeys:
            raise OrderNotFound(order_id)
        (journey,) = journeys
        book = ledger.entries_of([order_id]).get(order_id, [])
        decided, _ = _decide(journey.status, journey.payment, book, amount, now=database_now())
        number = captures.accept(journey, book, amount=decided, reason=reason, requested_by=requested_by)
        Journey.objects.save_all([journey])
        wakeup.wake_dispatcher()
        faults.point("command.before_commit")
    return number


def _decide(
    status: Status, payment: str, book: Sequence[Transaction], wanted: Decimal | None, *, now: datetime
) -> tuple[Decimal, Authorized]:
    held = captures.standing_of(book)
    if status in CAPTURABLE and held is not None and balance(book).captured >= held.authorization.amount:
        raise CapturedInFull(status)
    if status not in CAPTURABLE or payment not in CAPTURED_BY_STAFF or held is None:
        raise NotPossible(action="captured", status=status)
    if held.pending:
        raise CaptureUnderWay
    until = expires_at(book)
    if held.released or (until is not None and until <= now):
        raise AuthorizationExpired
    currency = held.authorization.currency
    if wanted is not None and not has_decimals_for(wanted, currency):
        raise TooManyDecimals("amount", currency)
    amount = held.left if wanted is None else rounded(wanted, currency)
    if not 0 < amount <= held.left:
        raise MoreThanHeld(held.left)
    return amount, held
