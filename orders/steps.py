"""The steps of an order's journey: where stock, shipping and payment meet.

`orders.batches` has the canvas. Each step takes a batch and

1. locks the journeys that the batch still owns and for which the step is due,
2. calls providers with no transaction open,
3. saves the result with its events and its own run (`_last_transaction`).

Steps are idempotent: a late, repeated or concurrent run finds nothing to do.
"""

import functools
import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import structlog
from django.db import InterfaceError, OperationalError, transaction

import faults
from inventory.models import StockItem
from orders import batches, queries, wakeup
from orders.batches import BatchLease, Paused, Progress
from orders.legs import PAYMENT, SHIPPING, STOCK
from orders.limits import declines
from orders.models import Journey
from orders.payment import answers, captures, handover
from orders.refunding import crediting
from orders.rules.leg_types import Leg, Outcomes, Reached
from orders.status import Status
from orders.waits import shortages
from orders.workflow import JourneyState
from payments import ledger, returns, talking
from payments.calls import Prepared
from payments.gateways.protocol import Outcome
from payments.ledger import Kind
from payments.returns import Answer, Returned
from scheduling.slots import database_now
from shipping import quotes

logger = logging.getLogger(__name__)


class Step(Protocol):
    __name__: str

    def __call__(self, batch: BatchLease) -> bool | None: ...


class BatchStep(Protocol):
    """Returns whether the batch is over: then no other step of it has anything left to do.

    Given its progress, it may raise `Paused`.
    """

    def __call__(self, *, batch_id: int, progress: Progress | None = None) -> bool: ...


def for_batch(step: Step) -> BatchStep:
    """Run a step for a whole batch; on an unexpected error bisect it to isolate the failing order.

    Errors of the database itself propagate: they prove nothing about an order, and the lease expires.
    """

    begin, end = f"{step.__name__}.begin", f"{step.__name__}.end"

    @functools.wraps(step)
    def run(*, batch_id: int, progress: Progress | None = None) -> bool:
        batch = batches.acquire_batch(batch_id, step=step.__name__, progress=progress)
        if batch is None:
            return True  # possibly for long
        parts, has_failed, is_over = [batch], False, False
        with structlog.contextvars.bound_contextvars(**batches.log_context(batch_id, batch.order_ids)):
            while parts:
                part = parts.pop()
                try:
                    faults.point(begin)
                    is_over = bool(step(part))
                    faults.point(end)
                except (OperationalError, InterfaceError, Paused):
                    raise
                except Exception as error:  # noqa: BLE001 - isolated, logged and escalated
                    parts += reversed(_isolate(part, error))
                    has_failed = True
            if has_failed:
                batches.finish_run(batch)
        wakeup.announce_events()
        return is_over

    return run


def _isolate(batch: BatchLease, error: Exception) -> Sequence[BatchLease]:
    """Return the halves of a failed batch to run in order; escalate a single order."""
    if len(batch.order_ids) > 1:
        logger.warning("%s fails for %s orders: halving", batch.step, len(batch.order_ids), exc_info=error)
        return batch.halves()
    logger.error("Order %s breaks %s", batch.order_ids[0], batch.step, exc_info=error)
    _escalate(batch, f"{batch.step}: {error!r}", "".join(traceback.format_exception(error)))
    return ()


def _escalate(batch: BatchLease, why: str, details: str) -> None:
    with transaction.atomic():
        journeys = _due(batch, lambda _: True)
        for journey in journeys:
            journey.escalate(why, details=details)
        Journey.objects.save_all(journeys)


def _due(batch: BatchLease, is_due: Callable[[JourneyState], bool]) -> list[JourneyState]:
    journeys = Journey.objects.lock_batch(batch.order_ids, batch_id=batch.batch_id)
    return [journey for journey in journeys if is_due(journey)]


@contextmanager
def _last_transaction(batch: BatchLease, *, step: str, ends_batch: bool = False) -> Iterator[None]:
    with transaction.atomic():
        yield
        if ends_batch and batch.is_last:
            batches.finish(batch.batch_id)
            wakeup.wake_dispatcher()
        batches.finish_run(batch)
        faults.point(f"{step}.before_commit")


# --- A leg whose work needs no lock ------------------------------------------------------------------------


Work = Callable[[list[int]], Outcomes]
# The simulation stands in for providers here.
WORK: dict[str, Work] = {}


def leg_step(leg: Leg) -> Callable[[Work], BatchStep]:
    """Make a function a leg's step. It may run twice or late: what it does outside must be keyed by the order."""

    def decorate(work: Work) -> BatchStep:
        WORK[leg.name] = work

        @for_batch
        @functools.wraps(work)
        def step(batch: BatchLease) -> None:
            with transaction.atomic():
                order_ids = [journey.order_id for journey in _due(batch, lambda j: j.may_be_tried(leg))]
            outcomes = WORK[leg.name](order_ids) if order_ids else {}
            with _last_transaction(batch, step=leg.step):
                journeys = _due(batch, lambda j: j.order_id in outcomes and j.may_be_tried(leg))
                for journey in journeys:
                    _reach(journey, outcomes[journey.order_id])
                Journey.objects.save_all(journey for journey in journeys if journey.has_changed)

        return step

    return decorate


def _reach(journey: JourneyState, outcome: Reached | None) -> None:
    if outcome is None:
        journey.no_capacity()
    else:
        journey.enter(outcome.state, reason=outcome.reason, **outcome.data)


# --- Forward: stock beside shipping and payment, then the fan-in -------------------------------------------


@for_batch
def reserve_stock(batch: BatchLease) -> None:
    """Reserve every order's units, first come first served, all of an order or none."""
    with _last_transaction(batch, step="reserve_stock"):
        journeys = _due(batch, lambda j: j.may_be_tried(STOCK))
        wanted, ahead = shortages.wanted([journey.order_id for journey in journeys])
        short = StockItem.objects.reserve(wanted=wanted, ahead=ahead)
        queued = [journey.order_id for journey in journeys if journey.stock is STOCK.SHORT]
        passing = shortages.passing(short, queued)
        shortages.update_queue(waiting=passing, was_waiting=queued)
        for journey in journeys:
            missing = short.get(journey.order_id)
            if not missing:
                journey.enter(STOCK.RESERVED)
            elif journey.order_id in passing:
                journey.enter(STOCK.SHORT)
            else:
                shortages_found = [shortage._asdict() for shortage in missing]
                journey.enter(STOCK.REFUSED, reason="out_of_stock", shortages=shortages_found)
        Journey.objects.save_all(journey for journey in journeys if journey.has_changed)


@for_batch
def quote_shipping(batch: BatchLease) -> None:
    """Quote shipping, which makes the total final; reject undeliverable addresses. A total of 0 skips the payment."""
    # Read before the lock, for which the other legs wait: a parcel never changes.
    parcels = queries.parcels(batch.order_ids)
    quoted = quotes.quote(parcels=parcels)
    with _last_transaction(batch, step="quote_shipping"):
        journeys = _due(batch, lambda j: j.may_be_tried(SHIPPING))
        goods = {parcel.order_id: parcel.goods_amount + parcel.adjustment_amount for parcel in parcels}
        for journey in journeys:
            quote = quoted[journey.order_id]
            if isinstance(quote, quotes.Refusal):
                journey.enter(SHIPPING.REFUSED, reason=quote.code)
            else:
                journey.shipping_quoted(quote, goods=goods[journey.order_id])
        Journey.objects.save_all(journeys)


@for_batch
def authorize_payment(batch: BatchLease) -> bool:
    """Authorize the total; orders whose stock is held by then are captured at once."""
    if talking.is_handed_over():
        return handover.authorize(batch)
    with transaction.atomic():
        due = [journey.order_id for journey in _due(batch, lambda j: j.may_be_tried(PAYMENT))]
        prepared = ledger.prepare(Kind.AUTHORIZE, queries.charges(due))
        faults.point("authorize_payment.before_intent_commit")
    outcomes = ledger.send(prepared, on_late=answers.record_late)
    with transaction.atomic():
        journeys = Journey.objects.lock([p.request.order_id for p in prepared])
        _record(Kind.AUTHORIZE, prepared, outcomes, journeys, batch)
        Journey.objects.save_all(journey for journey in journeys if journey.has_changed)
        joined = _prepare_capture([j for j in journeys if j.batch_id == batch.batch_id and j.may_be_captured])
        if not joined:
            batches.finish_run(batch)
        faults.point("authorize_payment.before_commit")
    declines.note(outcomes)
    is_all = batch.is_whole and len(joined) == len(batch.order_ids)
    if joined:
        _capture(batch, joined, [p.request.order_id for p in joined], ends_batch=is_all)
    return is_all


@for_batch
def capture_payment(batch: BatchLease) -> None:
    """Capture by the database alone, then settle the batch."""
    if talking.is_handed_over():
        with _last_transaction(batch, step="capture_payment", ends_batch=True):
            calls = handover.capture(batch, _due(batch, lambda _: True))
        handover.submit(calls)
        return
    with transaction.atomic():
        prepared = _prepare_capture(_due(batch, lambda j: j.may_be_captured))
    _capture(batch, prepared, batch.order_ids, ends_batch=True)


def _prepare_capture(journeys: Sequence[JourneyState]) -> list[Prepared]:
    held = ledger.held([journey.order_id for journey in journeys])
    prepared = ledger.prepare(Kind.CAPTURE, held) if journeys else []
    faults.point("capture_payment.before_intent_commit")
    return prepared


def _capture(
    batch: BatchLease, prepared: Sequence[Prepared], order_ids: Sequence[int], *, ends_batch: bool
) -> None:
    outcomes = ledger.send(prepared, on_late=answers.record_late)
    with _last_transaction(batch, step="capture_payment", ends_batch=ends_batch):
        journeys = Journey.objects.lock(order_ids)
        _record(Kind.CAPTURE, prepared, outcomes, journeys, batch)
        _settle(batch, journeys)


@for_batch
def settle(batch: BatchLease) -> None:
    with _last_transaction(batch, step="settle", ends_batch=True):
        _settle(batch, _due(batch, lambda _: True))


def _settle(batch: BatchLease, journeys: Sequence[JourneyState]) -> None:
    for journey in journeys:
        if journey.batch_id == batch.batch_id:
            journey.settle()
    Journey.objects.save_all(journey for journey in journeys if journey.has_changed)


# --- Back: compensate stock beside money ------------------------------------------------------------------


@for_batch
def release_stock(batch: BatchLease) -> None:
    with _last_transaction(batch, step="release_stock"):
        journeys = _due(batch, lambda j: j.may_be_reversed(STOCK))
        StockItem.objects.release(order_ids=[j.order_id for j in journeys if j.stock is STOCK.RESERVED])
        sold = [j.order_id for j in journeys if j.stock is STOCK.SOLD]
        StockItem.objects.take_back(lines=crediting.units_not_restocked(sold, queries.wanted_units(sold)))
        for journey in journeys:
            journey.enter(STOCK.RELEASED)
        Journey.objects.save_all(journeys)


@for_batch
def return_money(batch: BatchLease) -> None:
    """Void or refund the orders' payments once their outcomes are known."""
    with transaction.atomic():
        to_return = [journey.order_id for journey in _due(batch, lambda j: j.may_be_reversed(PAYMENT))]
    returned = returns.reverse_payments(to_return, now=database_now())
    with _last_transaction(batch, step="return_money"):
        journeys = _due(batch, lambda j: j.may_be_reversed(PAYMENT) and j.order_id in returned)
        with_credits = [j for j in journeys if j.payment in (PAYMENT.REFUNDING, PAYMENT.MOVING)]
        if with_credits:
            crediting.supersede(j for j in with_credits if isinstance(returned[j.order_id], Returned))
        for journey in journeys:
            _apply_return(journey, returned[journey.order_id])
        Journey.objects.save_all(journeys)


@for_batch
def refund_credits(batch: BatchLease) -> None:
    """Make the captures of staff, then refund what confirmed orders owe by credits, one per order at a time."""
    with transaction.atomic():
        journeys = _due(batch, lambda j: j.moves_money)
        to_capture = captures.prepare(journeys)
        capturing = {one.request.order_id for one in to_capture}
        to_refund = crediting.prepare([j for j in journeys if j.order_id not in capturing])
        faults.point("refund_credits.before_intent_commit")
    prepared = [*to_capture, *to_refund]
    outcomes = ledger.send(prepared, on_late=answers.record_late)
    with _last_transaction(batch, step="refund_credits", ends_batch=True):
        journeys = _due(batch, lambda j: j.moves_money)
        refunded = returns.record_all(Kind.REFUND, to_refund, outcomes)
        captured = returns.record_all(Kind.CAPTURE, to_capture, outcomes)
        decided = {**refunded.outcomes, **captured.outcomes}
        crediting.settle(journeys, prepared, decided, recorded=refunded.new | captured.new)
        Journey.objects.save_all(journey for journey in journeys if journey.has_changed)


# --- Handover ---------------------------------------------------------------------------------------------


@for_batch
def complete(batch: BatchLease) -> None:
    with _last_transaction(batch, step="complete", ends_batch=True):
        journeys = _due(batch, lambda j: j.status is Status.CONFIRMED and j.completion_requested)
        StockItem.objects.sell(order_ids=[journey.order_id for journey in journeys])
        for journey in journeys:
            journey.complete()
        Journey.objects.save_all(journeys)


# --- Provider outcomes ------------------------------------------------------------------------------------


def _record(
    kind: Kind,
    prepared: Sequence[Prepared],
    outcomes: dict[int, Outcome],
    journeys: Sequence[JourneyState],
    batch: BatchLease,
) -> None:
    recorded = ledger.conclude(kind, outcomes, prepared=prepared)
    called = {one.request.order_id for one in prepared}
    for journey in journeys:
        outcome = recorded.outcomes.get(journey.order_id)
        if journey.order_id in called and journey.batch_id == batch.batch_id:
            answers.apply(kind, journey, outcome)
        elif outcome is not None and journey.order_id in recorded.new:
            answers.apply_late(kind, journey, outcome)


def _apply_return(journey: JourneyState, answer: Answer) -> None:
    if isinstance(answer, Returned):
        journey.money_returned(PAYMENT.states[answer.value])
    elif answer.kind == "declined":
        journey.escalate(answer.message)
    else:
        answers.defer(journey, answer)
