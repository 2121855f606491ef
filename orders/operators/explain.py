"""Why an order is where it is: what it waits for, since when, whether a retry is safe, and what to do.

Used by the API, admin and `manage.py explain`.
"""

from datetime import datetime, timedelta

from django.conf import settings

from iso.currencies import format_amount, format_number
from orders import legs
from orders.events import EventType
from orders.legs import PAYMENT
from orders.models import Batch, Journey, Order
from orders.operators import blockers
from orders.operators.continuing import as_sentence, continues, obstacles, unresolved_money
from orders.operators.situations import WAITS_FOR_NOTHING, Explanation, Facts, Situation
from orders.operators.waiting import waits
from orders.payment.captures import EXPIRES
from orders.refunding.extent import refundable_of
from orders.reporting.wording import attention as in_words
from orders.status import UNDER_WAY, Status
from payments import ledger
from payments.balance import balance
from payments.models import Transaction
from scheduling.slots import database_now


def explain(order: Order) -> Explanation:
    facts = Facts(order, order.journey, database_now(), ledger.entries_of([order.pk]).get(order.pk, []))
    journey = facts.journey
    if is_at_rest(journey):
        return _rests(facts)
    if journey.due_at is None:
        return _stopped(facts) if journey.attention else _held(facts)
    if journey.due_at > facts.now and journey.batch_id is not None:
        return _travels(facts)
    if journey.waiting_for:
        return waits(facts)
    if journey.due_at > facts.now and journey.status == Status.PROCESSING and facts.unknown:
        return _is_called(facts, facts.unknown[-1])
    return _is_due(facts)


def is_at_rest(journey: Journey) -> bool:
    return journey.status not in UNDER_WAY and journey.due_at is None and not journey.attention


# --- At rest, held, or stopped ---------------------------------------------------------------------------


def _rests(facts: Facts) -> Explanation:
    return Explanation(
        Situation.AT_REST,
        WAITS_FOR_NOTHING,
        facts.journey.finished_at,
        f"It is {facts.journey.status}. {_refunds(facts)}Nothing is in progress.",
        safe_to_retry=False,
        next_action="",
    )


def _held(facts: Facts) -> Explanation:
    return Explanation(
        Situation.HELD,
        "manual release",
        facts.order.placed_at,
        "It was placed on hold. No stock is reserved and nothing is charged.",
        safe_to_retry=False,
        next_action="Process it to release it, or cancel it.",
    )


def _stopped(facts: Facts) -> Explanation:
    attention = in_words(facts.journey.attention)
    return Explanation(
        Situation.ATTENTION,
        "manual action",
        facts.since(EventType.ATTENTION_NEEDED),
        f"It is {facts.journey.status} and needs attention: {as_sentence(attention)}"
        if facts.journey.has_ended
        else f"It stopped: {as_sentence(attention)}{unresolved_money(facts)}",
        safe_to_retry=facts.journey.may_be_retried,
        next_action=_way_on(facts),
    )


def _refunds(facts: Facts) -> str:
    if facts.journey.status not in (Status.CONFIRMED, Status.COMPLETED):
        return ""
    refunded, currency = balance(facts.book).refunded, facts.order.currency
    if not refunded:
        return ""
    refundable = format_amount(refundable_of(facts.order, facts.book), currency)
    return f"{format_number(refunded, currency)} of {refundable} is refunded. "


def _way_on(facts: Facts) -> str:
    is_refused = "refused by the provider" in facts.journey.attention
    if (
        facts.journey.payment in (PAYMENT.REFUNDING, PAYMENT.MOVING)
        and facts.journey.status != Status.CANCELLING
        and is_refused
    ):
        return (
            "Resolve this in the payment provider's dashboard, then retry: the refund is sent again, under a new"
            " idempotency key."
        )
    if facts.journey.attention.startswith(EXPIRES):
        return (
            "Capture the rest while it is held, or cancel the order. Once it has expired, have the customer pay again,"
            " or go on without it. Then Retry to clear it."
        )
    if facts.journey.has_ended:
        return "Fix it, then Retry to clear it. The order itself does not change."
    if facts.journey.status == Status.CANCELLING and is_refused:
        return (
            "Resolve this in the payment provider's dashboard, then retry. The call is repeated under a new"
            " idempotency key, and a full refund made there is recognized."
        )
    if any(state.approved_as for state in legs.read_states(facts.journey)):
        return "Approve it, or cancel it."
    return "Check the traceback in the timeline, fix the cause, then retry. Every step is safe to retry."


# --- Continues automatically ------------------------------------------------------------------------------


def _travels(facts: Facts) -> Explanation:
    batch = Batch.objects.filter(pk=facts.journey.batch_id or 0).first()
    return continues(
        facts,
        Situation.UNDER_WAY,
        f"batch {facts.journey.batch_id}",
        batch.started_at if batch else facts.since(),
        why=f"Being processed (batch {facts.journey.batch_id}{_size(batch)}).",
        next_action="No action needed. If its worker crashes, the order is retried when its lease expires.",
        in_the_way=obstacles(facts, is_to_be_claimed=False),
    )


def _is_called(facts: Facts, call: Transaction) -> Explanation:
    return continues(
        facts,
        Situation.UNDER_WAY,
        f"the payment provider's answer to the {call.kind}",
        call.asked_at,
        why=f"The payment provider is called for the {call.kind} of {format_amount(call.amount, call.currency)}.",
        next_action="Nothing to do. If the worker that waits for the answer is lost, the call is looked up by its key.",
    )


def _is_due(facts: Facts) -> Explanation:
    journey, in_the_way = facts.journey, obstacles(facts, is_to_be_claimed=True)
    assert journey.due_at is not None
    if facts.is_overdue and not in_the_way:
        return _has_no_capacity(facts, journey.due_at)
    if journey.due_at > facts.now:
        in_the_way = in_the_way or [blockers.BROKER]
        why = "It was claimed, but its batch could not be sent to a worker."
    elif journey.batch_id is not None:
        why = f"{_batch_end(facts)} It is due again."
    else:
        why = "It is due and goes into the next batch."
    if journey.payment in (PAYMENT.REFUNDING, PAYMENT.MOVING) and journey.status != Status.CANCELLING:
        why = f"It is {journey.status}, and a capture or refund was requested. {why}"
    elif journey.status == Status.CONFIRMED:
        why = f"It is confirmed, and its completion was requested. {why}"
    calm = Situation.BATCH_LOST if journey.batch_id is not None else _calm(facts)
    return continues(
        facts,
        calm,
        "the next batch",
        journey.due_at,
        why=why,
        next_action="No action needed.",
        in_the_way=in_the_way,
    )


def _calm(facts: Facts) -> Situation:
    return Situation.COMPLETION if facts.journey.status == Status.CONFIRMED else Situation.DUE


def _has_no_capacity(facts: Facts, due_at: datetime) -> Explanation:
    lease = timedelta(seconds=settings.LEASE_SECONDS)
    batches = Batch.objects.filter(finished_at=None, started_at__gt=facts.now - lease).count()
    return continues(
        facts,
        Situation.NOT_CLAIMED,
        "a dispatcher",
        due_at,
        why="It is due, but no dispatcher claims it, although one is running."
        f" {batches} of at most {settings.MAX_CONCURRENT_BATCHES} batches are in progress.",
        next_action="Check the dispatchers and the batches in progress on the status page.",
    )


# --- Blockers ---------------------------------------------------------------------------------------------


# --- Wording ----------------------------------------------------------------------------------------------


def _size(batch: Batch | None) -> str:
    return f", {batch.size} order{'' if batch.size == 1 else 's'}" if batch else ""


def _batch_end(facts: Facts) -> str:
    batch = Batch.objects.filter(pk=facts.journey.batch_id or 0).first()
    run = batch.step_runs.filter(ended_at=None).order_by("-began_at").first() if batch else None
    if run:
        where = f" on {run.worker}" if run.worker else ""
        what = f"the step “{run.step.replace('_', ' ')}” did not finish{where}"
    elif batch and batch.is_watched:
        what = "its message was lost or is still queued"
    else:
        what = "a worker crashed, or a message was lost or is still queued"
    return f"Batch {facts.journey.batch_id} did not finish within {settings.LEASE_SECONDS:g} seconds: {what}."
