"""What refunds of parts mean for a confirmed order's journey. Without I/O."""

from decimal import Decimal
from typing import Any

from orders.events import EventType
from orders.legs import CAPTURED_BY_STAFF, PAYMENT
from orders.workflow import JourneyState


def requested(journey: JourneyState, *, credit: int, amount: Decimal, **data: Any) -> None:
    _resume(journey, unless=journey.moves_money and journey.is_due and not journey.attention)
    journey.note(EventType.REFUND_REQUESTED, credit=credit, amount=str(amount), **data)


def succeeded(journey: JourneyState, *, credit: int, amount: Decimal) -> None:
    journey.wait = None
    journey.note(EventType.REFUND_SUCCEEDED, credit=credit, amount=str(amount))


def failed(journey: JourneyState, *, credit: int, amount: Decimal, code: str) -> None:
    journey.note(EventType.REFUND_FAILED, credit=credit, amount=str(amount), reason=code)


def reversed_later(journey: JourneyState, *, credit: int, amount: Decimal, code: str) -> None:
    """A refund failed after it had succeeded: due for another attempt."""
    _resume(journey, unless=journey.moves_money and journey.is_due)
    journey.note(EventType.REFUND_FAILED, credit=credit, amount=str(amount), reason=code, reversed=True)


def superseded(journey: JourneyState, *, credit: int, amount: Decimal) -> None:
    """A refund was not carried out: the whole payment was reversed."""
    journey.note(EventType.REFUND_SUPERSEDED, credit=credit, amount=str(amount))


def all_tried(journey: JourneyState, *, more: bool, has_failed: bool, is_expired: bool = False) -> None:
    """Continue with `more` credits, or rest; failed ones wait for an operator.

    `is_expired`: what is not captured is held no more.
    """
    journey.rest()
    if more:
        journey.reschedule_in(0)
    elif not has_failed:
        is_moving = journey.payment is PAYMENT.MOVING
        journey.payment = PAYMENT.EXPIRED if is_expired else PAYMENT.HELD if is_moving else PAYMENT.CAPTURED


def _resume(journey: JourneyState, *, unless: bool) -> None:
    """Make its refunds due, `unless` they are under way."""
    is_by_staff = journey.payment in CAPTURED_BY_STAFF
    journey.payment = PAYMENT.MOVING if is_by_staff else PAYMENT.REFUNDING
    if not unless:
        journey.reschedule_in(0)
