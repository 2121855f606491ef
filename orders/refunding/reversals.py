"""News of calls that were decided: a refund or capture that succeeded and failed later."""

from django.db import transaction

from iso.currencies import format_amount
from orders import wakeup
from orders.legs import PAYMENT
from orders.models import Credit, Journey
from orders.payment import answers
from orders.refunding import crediting, refunds
from orders.status import UNDONE
from orders.workflow import JourneyState
from payments import ledger
from payments.gateways.protocol import Outcome
from payments.ledger import Kind, Reversed
from payments.models import Transaction

# Failed ones before an operator is needed.
MOST_ATTEMPTS = 3


def record_news(entry: Transaction, outcome: Outcome) -> bool:
    """Record an outcome that the provider reports by itself. Return whether it was new."""
    kind, order_id = Kind(entry.kind), entry.order_id
    if answers.record_late_outcome(kind, order_id, outcome, number=entry.number):
        return True
    if outcome.kind != "declined" or kind not in (Kind.REFUND, Kind.CAPTURE):
        return False
    with transaction.atomic():
        journeys = Journey.objects.lock([order_id])
        found = ledger.reverse(entry, outcome)
        if found is None:
            return False
        for journey in journeys:
            _apply(kind, journey, found, outcome, currency=entry.currency)
        Journey.objects.save_all(journey for journey in journeys if journey.has_changed)
        wakeup.wake_dispatcher()
    return True


def _apply(kind: Kind, journey: JourneyState, found: Reversed, outcome: Outcome, *, currency: str) -> None:
    what = f"{kind.label} of {format_amount(found.amount, currency)}"
    why = f"{what} failed after it had succeeded: {outcome.code} {outcome.message}".strip()
    if journey.status in UNDONE and kind is Kind.REFUND:
        journey.payment_arrived_late(PAYMENT.CAPTURED)
    elif kind is Kind.REFUND and found.credit is not None:
        crediting.set_state(journey.order_id, found.credit, Credit.State.FAILED)
        refunds.reversed_later(journey, credit=found.credit, amount=found.amount, code=outcome.code)
        if found.attempt >= MOST_ATTEMPTS:
            journey.escalate(why)
    elif not journey.is_cancelling:
        journey.escalate(why)
