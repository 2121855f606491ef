"""Payments that the customer or the bank decides: orders wait for it, at most until the time to pay has passed."""

from datetime import timedelta

from orders.legs import PAYMENT, holding
from orders.rules.leg_types import Wait
from orders.status import NOT_PAID_IN_TIME, Status
from orders.workflow import JourneyState
from payments import ledger
from payments.gateways.protocol import Outcome
from payments.ledger import Kind
from scheduling.slots import database_now

# When to look up what is not decided, unless the gateway knows better.
CHECK_AFTER = timedelta(minutes=1)
# The audit finds orders that are due later than in a day.
LATEST_CHECK = timedelta(hours=12)

WAITS = {"action_required": PAYMENT.CUSTOMER, "pending": PAYMENT.BANK}


def wait(journey: JourneyState, outcome: Outcome, *, kind: Kind | None) -> None:
    """Schedule the next check of an outcome that is not decided; cancel once the time to pay has passed.

    An answer after that time is the last look-up: what is paid later is refunded.
    """
    check_after = min(outcome.check_after or CHECK_AFTER, LATEST_CHECK)
    if kind is Kind.AUTHORIZE and journey.is_processing:
        pay_by = outcome.action.pay_by if outcome.action else ledger.pay_by(journey.order_id)
        if pay_by is not None:
            check_after = min(check_after, pay_by - database_now())
    if check_after <= timedelta(0):
        journey.undo(outcome=Status.CANCELLED, reason=NOT_PAID_IN_TIME)
        return
    _check_later(journey, WAITS[outcome.kind], check_in=check_after.total_seconds())


def decided_meanwhile(journey: JourneyState) -> None:
    """A webhook was faster than the answer to a look-up: due at once, to read the ledger."""
    if journey.wait is not None and journey.wait.is_patient:
        journey.wait = None
    journey.no_capacity()


def _check_later(journey: JourneyState, wait: Wait, *, check_in: float) -> None:
    """Wait without an attempt. With other legs to do the order stays in its batch, which settles it."""
    journey.wait_for(wait)
    journey.attempts, journey.has_news = 0, True
    if journey.is_processing and journey.is_refused:
        journey.reschedule_in(0)
    elif not _has_other_legs_to_do(journey):
        journey.reschedule_in(check_in)
    elif journey.batch_id is None:
        journey.reschedule_in(min(check_in, wait.retry_seconds or check_in))


def _has_other_legs_to_do(journey: JourneyState) -> bool:
    """Whether a leg beside the payment is to be tried, or reversed."""
    if journey.is_cancelling:
        return any(leg is not PAYMENT for leg in holding(journey))
    return journey.is_processing and not journey.is_last(PAYMENT)
