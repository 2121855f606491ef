"""Commands on stored orders, for the API, the admin site and the command line. None talks to the broker."""

from collections.abc import Callable, Sequence
from functools import partial

from django.db import transaction

import faults
from inventory.models import StockItem
from orders import wakeup
from orders.models import Journey
from orders.queries import OrderNotFound
from orders.status import Status
from orders.workflow import JourneyState


class NotPossible(Exception):
    """The status does not allow the command."""

    def __init__(self, *, action: str, status: Status) -> None:
        super().__init__(f"A {status} order cannot be {action}.")
        self.action, self.status = action, status


# --- One order --------------------------------------------------------------------------------------------


def process_order(*, order_id: int) -> Status:
    """Start a held order; else a no-op."""
    return _single_status(process_orders(order_ids=[order_id]), order_id)


def complete_order(*, order_id: int) -> bool:
    """Complete an order; False if it has to be confirmed first. Raises NotPossible."""
    return _single_status(complete_orders(order_ids=[order_id]), order_id) is Status.COMPLETED


def cancel_order(*, order_id: int, reason: str, returning: bool = False) -> Status:
    """Cancel an order, with `returning` also a completed one. Idempotent. Raises NotPossible."""
    outcomes = cancel_orders(order_ids=[order_id], reason=reason, returning=returning)
    return _single_status(outcomes, order_id)


def retry_order(*, order_id: int) -> Status:
    """Clear the attention; due now unless ended. Raises NotPossible."""
    return _single_status(retry_orders(order_ids=[order_id]), order_id)


def approve_order(*, order_id: int) -> Status:
    """Let pass the leg on which staff decide; due now. Raises NotPossible."""
    return _single_status(approve_orders(order_ids=[order_id]), order_id)


# --- Many orders ------------------------------------------------------------------------------------------

# By order id, without unknown ones.
Outcomes = dict[int, "Status | NotPossible"]

# Orders per transaction: bounds waits for locks.
AT_ONCE = 500


def process_orders(*, order_ids: Sequence[int]) -> Outcomes:
    return _apply(order_ids, _process)


def complete_orders(*, order_ids: Sequence[int]) -> Outcomes:
    """Complete orders, one transaction each: each locks stock."""
    return {id_: outcome for order_id in order_ids for id_, outcome in _apply([order_id], _complete).items()}


def cancel_orders(*, order_ids: Sequence[int], reason: str, returning: bool = False) -> Outcomes:
    return _apply(order_ids, partial(_cancel, reason=reason, returning=returning))


def cancel_held_orders(*, order_ids: Sequence[int], reason: str) -> int:
    """Cancel held orders. Return how many."""
    outcomes = _apply(order_ids, partial(_cancel_held, reason=reason))
    return sum(outcome is Status.CANCELLED for outcome in outcomes.values())


def retry_orders(*, order_ids: Sequence[int]) -> Outcomes:
    return _apply(order_ids, _retry)


def approve_orders(*, order_ids: Sequence[int]) -> Outcomes:
    return _apply(order_ids, _approve)


def _process(journey: JourneyState) -> None:
    if journey.is_held:
        journey.release()


def _complete(journey: JourneyState) -> None:
    match journey.status:
        case Status.COMPLETED:
            pass
        case Status.CONFIRMED:
            StockItem.objects.sell(order_ids=[journey.order_id])
            journey.complete()
        case Status.PENDING | Status.PROCESSING:
            journey.request_completion()
        case _:
            raise NotPossible(action="completed", status=journey.status)


def _cancel(journey: JourneyState, *, reason: str, returning: bool) -> None:
    if journey.status in (Status.CANCELLED, Status.CANCELLING):
        return
    if journey.status is Status.REJECTED or (journey.status is Status.COMPLETED and not returning):
        raise NotPossible(action="cancelled", status=journey.status)
    journey.undo(outcome=Status.CANCELLED, reason=reason)


def _cancel_held(journey: JourneyState, *, reason: str) -> None:
    if journey.is_held:
        journey.undo(outcome=Status.CANCELLED, reason=reason)


def _retry(journey: JourneyState) -> None:
    if not journey.may_be_retried:
        raise NotPossible(action="retried", status=journey.status)
    journey.retry()


def _approve(journey: JourneyState) -> None:
    if not journey.needs_approval:
        raise NotPossible(action="approved", status=journey.status)
    journey.approve()


def _apply(order_ids: Sequence[int], act: Callable[[JourneyState], None]) -> Outcomes:
    outcomes: Outcomes = {}
    for start in range(0, len(order_ids), AT_ONCE):
        with transaction.atomic():
            journeys = Journey.objects.lock(order_ids[start : start + AT_ONCE])
            outcomes |= {journey.order_id: _outcome(journey, act) for journey in journeys}
            changed = [journey for journey in journeys if journey.events]
            Journey.objects.save_all(changed)
            if any(journey.due_in is not None for journey in changed):
                wakeup.wake_dispatcher()
            faults.point("command.before_commit")
    return outcomes


def _outcome(journey: JourneyState, act: Callable[[JourneyState], None]) -> "Status | NotPossible":
    try:
        act(journey)
    except NotPossible as refusal:
        return refusal
    return journey.status


def _single_status(outcomes: Outcomes, order_id: int) -> Status:
    outcome = outcomes.get(order_id)
    if outcome is None:
        raise OrderNotFound(order_id)
    if isinstance(outcome, NotPossible):
        raise outcome
    return outcome
