"""Outcomes of payment calls, recorded and applied to orders under lock.

They arrive in any order, repeatedly: only the first that settles an unknown outcome has an effect.
"""

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

import faults
from orders import wakeup
from orders.events import EventType
from orders.legs import PAYMENT
from orders.limits import declines
from orders.models import Journey
from orders.payment import captures, decisions
from orders.workflow import JourneyState
from payments import ledger, returns
from payments.calls import Prepared
from payments.gateways.protocol import UNDECIDED, Outcome
from payments.ledger import Kind

logger = logging.getLogger(__name__)

# The calling process renews it.
PART_OF_LEASE = 0.75

# The payment leg to which an outcome of each kind still applies.
BEFORE = {Kind.AUTHORIZE: (PAYMENT.PENDING, PAYMENT.LATER), Kind.CAPTURE: (PAYMENT.AUTHORIZED,)}


# Nothing to wait for: there was no room, or there is more to do.
AT_ONCE = (ledger.NO_CAPACITY.code, returns.MORE_TO_REFUND.code)
# Outcomes after which an order is due at once.
SCHEDULED = (ledger.NO_CAPACITY.code, ledger.DECIDED_MEANWHILE.code)


class Answered(NamedTuple):
    prepared: Prepared
    outcome: Outcome | Exception


def call_lease() -> float:
    return settings.LEASE_SECONDS * PART_OF_LEASE


# --- Outcomes of handed-over calls ------------------------------------------------------------------------


def take(answered: Sequence[Answered]) -> list[Prepared]:
    """Record and apply outcomes; return the captures to send."""
    order_ids = sorted({answer.prepared.request.order_id for answer in answered})
    outcomes: dict[Kind, dict[int, Outcome]] = {Kind.AUTHORIZE: {}, Kind.CAPTURE: {}}
    with transaction.atomic():
        journeys = {journey.order_id: journey for journey in Journey.objects.lock(order_ids)}
        for prepared, outcome in answered:
            if isinstance(outcome, Outcome):
                outcomes[prepared.kind][prepared.request.order_id] = outcome
            elif journey := journeys.get(prepared.request.order_id):
                _stop(prepared.kind, journey, outcome)
        to_capture: list[JourneyState] = []
        for kind, of_kind in outcomes.items():
            recorded = ledger.conclude(kind, of_kind)
            ledger.delete_unsent((one.prepared for one in answered if one.prepared.kind is kind), of_kind)
            found = [
                (journeys[id_], outcome) for id_, outcome in recorded.outcomes.items() if id_ in journeys
            ]
            to_capture += [j for j, outcome in found if _settle_by(kind, j, outcome, recorded.new)]
        captures = capture(to_capture)
        changed = [journey for journey in journeys.values() if journey.has_changed]
        Journey.objects.save_all(changed)
        if any(journey.due_in == 0 for journey in changed):
            wakeup.wake_dispatcher()
        faults.point("answers.before_commit")
    declines.note(outcomes[Kind.AUTHORIZE])
    return captures


def escalate(answered: Answered, error: Exception) -> None:
    kind, order_id = answered.prepared.kind, answered.prepared.request.order_id
    with transaction.atomic():
        journeys = Journey.objects.lock([order_id])
        if isinstance(answered.outcome, Outcome):
            ledger.record(kind, {order_id: answered.outcome})
        for journey in journeys:
            _stop(kind, journey, error)
        Journey.objects.save_all(journey for journey in journeys if journey.has_changed)


def _stop(kind: Kind, journey: JourneyState, error: Exception) -> None:
    logger.error("The %s of order %s fails", kind.value, journey.order_id, exc_info=error)
    if _awaits(journey, kind):
        details = "".join(traceback.format_exception(error))
        journey.escalate(f"{kind.value}: {error!r}", details=details)


def _awaits(journey: JourneyState, kind: Kind) -> bool:
    return journey.is_processing and journey.payment in BEFORE[kind]


def _settle_by(kind: Kind, journey: JourneyState, outcome: Outcome, newly_recorded: set[int]) -> bool:
    """Apply an outcome and settle its order. Return whether it is ready for capture."""
    is_certain = outcome.kind in ("succeeded", "declined")
    if is_certain and journey.order_id not in newly_recorded:
        return False
    if not _awaits(journey, kind):
        if is_certain:
            apply_late(kind, journey, outcome)
        return False
    apply(kind, journey, outcome)
    if journey.may_be_captured:
        return True
    is_free = journey.batch_id is None or journey.payment is PAYMENT.CAPTURED
    is_scheduled = outcome.kind in UNDECIDED or outcome.code in SCHEDULED
    if is_free and journey.is_processing and not is_scheduled:
        journey.settle()
    return False


def capture(journeys: Sequence[JourneyState]) -> list[Prepared]:
    """Record the captures of locked orders, which leave their batch; return them to be sent."""
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


# --- What an outcome means for an order -------------------------------------------------------------------


class Late(NamedTuple):
    kind: Kind
    number: int
    outcome: Outcome


def record_late(late: ledger.LateOutcomes) -> None:
    """Record outcomes, an order's at most once, that no step waits for any more; reschedule their orders."""
    _record_late({one.request.order_id: Late(one.kind, one.number, outcome) for one, outcome in late})


def record_late_outcome(kind: Kind, order_id: int, outcome: Outcome, *, number: int) -> bool:
    """Record an outcome that no step waits for; reschedule its order. Return whether it is new."""
    return order_id in _record_late({order_id: Late(kind, number, outcome)})


def _record_late(late: Mapping[int, Late]) -> set[int]:
    with transaction.atomic():
        journeys = Journey.objects.lock(sorted(late))
        recorded = {order_id for kind in Kind for order_id in _record_late_of(kind, late)}
        for journey in journeys:
            if journey.order_id in recorded:
                _apply_late_one(journey, late[journey.order_id])
        if recorded:
            Journey.objects.save_all(journey for journey in journeys if journey.has_changed)
            wakeup.wake_dispatcher()
            faults.point("late.before_commit")
    return recorded


def _record_late_of(kind: Kind, late: Mapping[int, Late]) -> set[int]:
    of_kind = {order_id: one for order_id, one in late.items() if one.kind is kind}
    outcomes = {order_id: one.outcome for order_id, one in of_kind.items()}
    numbers = {order_id: one.number for order_id, one in of_kind.items()}
    return ledger.record(kind, outcomes, number_by_order=numbers)


def _apply_late_one(journey: JourneyState, late: Late) -> None:
    if late.kind is Kind.CAPTURE and journey.moves_money:
        captures.note_late(journey, late.number, late.outcome)
    apply_late(late.kind, journey, late.outcome)


def apply(kind: Kind, journey: JourneyState, outcome: Outcome | None) -> None:
    succeeded = outcome is not None and outcome.kind == "succeeded"
    if outcome is None or outcome.kind not in ("succeeded", "declined"):
        defer(journey, outcome, kind=kind)
    elif kind is Kind.CAPTURE:
        journey.enter(PAYMENT.CAPTURED) if succeeded else journey.capture_declined(outcome.code)
    elif not succeeded:
        journey.enter(PAYMENT.REFUSED, reason=outcome.code)
    elif journey.payment is PAYMENT.LATER:
        journey.enter(PAYMENT.HELD)
        journey.note(EventType.PAYMENT_AUTHORIZED)
    else:
        journey.enter(PAYMENT.AUTHORIZED)


def apply_late(kind: Kind, journey: JourneyState, outcome: Outcome) -> None:
    """Reschedule the order, even if its payments are reversed: late money is refunded."""
    if outcome.kind == "succeeded" and kind in LATE_MONEY and journey.has_no_money:
        journey.payment_arrived_late(LATE_MONEY[kind])
    elif journey.batch_id is None and journey.is_due:
        journey.reschedule_in(0)


LATE_MONEY = {Kind.AUTHORIZE: PAYMENT.AUTHORIZED, Kind.CAPTURE: PAYMENT.CAPTURED}


def defer(journey: JourneyState, outcome: Outcome | None, *, kind: Kind | None = None) -> None:
    """Set what the order waits for, by the provider's answer to a call of a kind."""
    if outcome is not None and outcome.code in AT_ONCE:
        journey.no_capacity()
    elif outcome is not None and outcome.code == ledger.DECIDED_MEANWHILE.code:
        decisions.decided_meanwhile(journey)
    elif outcome is not None and (outcome.kind == "not_sent" or outcome.code == ledger.LOOKUP_FAILED):
        journey.wait_for(PAYMENT.PROVIDER_AWAY)
    elif outcome is not None and outcome.kind in UNDECIDED:
        decisions.wait(journey, outcome, kind=kind)
    else:
        journey.wait_for(PAYMENT.OUTCOME_UNKNOWN)
