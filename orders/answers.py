"""What the payment provider answered, and what that means for the orders: recorded and applied under lock.

Answers may come in any order, any number of times, to orders that have moved on meanwhile: what an answer changes is
guarded by the ledger, where only the first that settles what was unknown is news.
"""

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

import faults
from orders import declines, journal, wakeup
from orders.workflow import JourneyState, Leg, Wait
from payments import ledger
from payments.gateways.protocol import Outcome
from payments.ledger import Kind, Prepared

logger = logging.getLogger(__name__)

# The part of the lease for which a call that was handed over is left alone. The process that makes it renews it.
PART_OF_LEASE = 0.75

# What a journey's payment leg is while the answer to a call of a kind can still be applied to it.
BEFORE = {Kind.AUTHORIZE: Leg.PENDING, Kind.CAPTURE: Leg.AUTHORIZED}


class Answered(NamedTuple):
    """A call that was handed over, and what came of it: an outcome, or an error that was not expected."""

    prepared: Prepared
    outcome: Outcome | Exception


def call_lease() -> float:
    """Return for how many seconds an order whose call was handed over is left alone, unless that is renewed."""
    return settings.LEASE_SECONDS * PART_OF_LEASE


# --- Answers to calls that were handed over ---------------------------------------------------------------


def take(answered: Sequence[Answered]) -> list[Prepared]:
    """Record and apply answers in one transaction. Return the captures that are to be sent now."""
    order_ids = sorted({answer.prepared.request.order_id for answer in answered})
    with transaction.atomic():
        journeys = {journey.order_id: journey for journey in journal.lock(order_ids)}
        authorized: list[JourneyState] = []
        for kind in (Kind.AUTHORIZE, Kind.CAPTURE):
            of_kind = [answer for answer in answered if answer.prepared.kind is kind]
            authorized += _take_kind(kind, of_kind, journeys)
        captures = capture(authorized)
        changed = [journey for journey in journeys.values() if journey.has_changed]
        journal.save(changed)
        if any(journey.due_in == 0 for journey in changed):
            wakeup.wake_dispatcher()
        faults.point("answers.before_commit")
    declines.note(_outcomes_of(Kind.AUTHORIZE, answered))
    return captures


def escalate(answered: Answered, error: Exception) -> None:
    """Record an answer that cannot be applied to its order, which then needs attention."""
    kind, order_id = answered.prepared.kind, answered.prepared.request.order_id
    with transaction.atomic():
        journeys = journal.lock([order_id])
        if isinstance(answered.outcome, Outcome):
            ledger.record(kind, {order_id: answered.outcome})
        for journey in journeys:
            _stop(kind, journey, error)
        journal.save(journey for journey in journeys if journey.has_changed)


def _take_kind(
    kind: Kind, answered: Sequence[Answered], journeys: Mapping[int, JourneyState]
) -> list[JourneyState]:
    """Record and apply the answers of a kind. Return the journeys whose money may be captured now."""
    outcomes = _outcomes_of(kind, answered)
    news = ledger.record(kind, outcomes)
    unsent = [a.prepared for a in answered if a.prepared.is_new and _was_not_sent(a.outcome)]
    ledger.delete_unsent(kind, unsent)
    for answer in answered:
        journey = journeys.get(answer.prepared.request.order_id)
        if journey is not None and isinstance(answer.outcome, Exception):
            _stop(kind, journey, answer.outcome)
    found = [(journeys[order_id], outcome) for order_id, outcome in outcomes.items() if order_id in journeys]
    return [journey for journey, outcome in found if _settle_by(kind, journey, outcome, news)]


def _outcomes_of(kind: Kind, answered: Sequence[Answered]) -> dict[int, Outcome]:
    of_kind = [answer for answer in answered if answer.prepared.kind is kind]
    return {a.prepared.request.order_id: a.outcome for a in of_kind if isinstance(a.outcome, Outcome)}


def _was_not_sent(outcome: Outcome | Exception) -> bool:
    return isinstance(outcome, Outcome) and outcome.kind == "not_sent"


def _stop(kind: Kind, journey: JourneyState, error: Exception) -> None:
    logger.error("The %s of order %s fails", kind.value, journey.order_id, exc_info=error)
    if _awaits(journey, kind):
        details = "".join(traceback.format_exception(error))
        journey.escalate(f"{kind.value}: {error!r}", details=details)


def _awaits(journey: JourneyState, kind: Kind) -> bool:
    return journey.is_processing and journey.payment is BEFORE[kind]


def _settle_by(kind: Kind, journey: JourneyState, outcome: Outcome, news: set[int]) -> bool:
    """Apply an outcome, and decide where its order goes. Return whether its money may be captured now."""
    is_certain = outcome.kind in ("succeeded", "declined")
    if is_certain and journey.order_id not in news:
        return False
    if not _awaits(journey, kind):
        if is_certain:
            apply_late(kind, journey, outcome)
        return False
    apply(kind, journey, outcome)
    if journey.may_be_captured:
        return True
    # One that is still with a batch waits there for its stock, and is settled with the batch.
    is_free = journey.batch_id is None or journey.payment is Leg.CAPTURED
    if is_free and journey.is_processing and outcome.code != ledger.NO_CAPACITY.code:
        journey.settle()
    return False


def capture(journeys: Sequence[JourneyState]) -> list[Prepared]:
    """Write down that the money of orders, which are locked, is about to be captured; return what is to be sent.

    They leave their batch: the answer finds them.
    """
    if not journeys:
        return []
    prepared = ledger.prepare(Kind.CAPTURE, ledger.held([journey.order_id for journey in journeys]))
    faults.point("capture_payment.before_intent_commit")
    decided = {one.request.order_id: one.outcome for one in prepared if one.outcome}
    for journey in journeys:
        journey.reschedule_in(call_lease())
        if outcome := decided.get(journey.order_id):
            apply(Kind.CAPTURE, journey, outcome)
            if journey.is_processing:
                journey.settle()
    return [one for one in prepared if one.outcome is None]


# --- What an answer means for an order --------------------------------------------------------------------


def record_late(kind: Kind, prepared: Prepared, outcome: Outcome) -> None:
    """Write down an answer that came after its batch had gone on."""
    record_late_outcome(kind, prepared.request.order_id, outcome)


def record_late_outcome(kind: Kind, order_id: int, outcome: Outcome) -> bool:
    """Write down what the provider says of a transaction that nobody waits for any more; have the order looked at.

    Return whether it was news. An answer, a webhook and a repeat of either may come in any order, any number
    of times: only the first that settles what was unknown changes anything.
    """
    with transaction.atomic():
        journeys = journal.lock([order_id])
        if order_id not in ledger.record(kind, {order_id: outcome}):
            return False
        for journey in journeys:
            apply_late(kind, journey, outcome)
        journal.save(journey for journey in journeys if journey.has_changed)
        wakeup.wake_dispatcher()
        faults.point("late.before_commit")
    return True


def apply(kind: Kind, journey: JourneyState, outcome: Outcome | None) -> None:
    """Say on the journey what the provider said."""
    succeeded = outcome is not None and outcome.kind == "succeeded"
    if outcome is None or outcome.kind in ("unknown", "not_sent"):
        defer(journey, outcome)
    elif kind is Kind.AUTHORIZE:
        journey.payment_authorized() if succeeded else journey.payment_declined(outcome.code)
    elif succeeded:
        journey.payment_captured()
    else:
        journey.capture_declined(outcome.code)


def apply_late(kind: Kind, journey: JourneyState, outcome: Outcome) -> None:
    """Have the order looked at again, which finds the outcome in the ledger.

    One that has given its money back already, or was thought to have none, would not look any more: money
    that came in after all goes back.
    """
    if outcome.kind == "succeeded" and kind in LATE_MONEY and journey.has_no_money:
        journey.payment_arrived_late(LATE_MONEY[kind])
    elif journey.batch_id is None and journey.is_due:
        journey.reschedule_in(0)


LATE_MONEY = {Kind.AUTHORIZE: Leg.AUTHORIZED, Kind.CAPTURE: Leg.CAPTURED}


def defer(journey: JourneyState, outcome: Outcome | None) -> None:
    """Say why the provider's answer has to be waited for."""
    if outcome is not None and outcome.code == ledger.NO_CAPACITY.code:
        journey.no_capacity()
    elif outcome is not None and (outcome.kind == "not_sent" or outcome.code == ledger.LOOKUP_FAILED):
        journey.blocked(Wait.PAYMENT_PROVIDER)
    else:
        journey.blocked(Wait.PAYMENT_OUTCOME)
