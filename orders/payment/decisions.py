"""Payments that the customer or the bank decides: orders wait for it, at most until the time to pay has passed."""

from datetime import timedelta

from orders.legs import PAYMENT
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
    journey.undecided(WAITS[outcome.kind], check_in=check_after.total_seconds())
