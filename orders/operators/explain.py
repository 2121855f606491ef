"""Why an order is where it is: what it waits for, since when, whether a retry is safe, and what to do.

Used by the API, admin and `manage.py explain`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import SimpleNamespace

from django.conf import settings

from iso.currencies import format_amount
from orders import legs
from orders.events import EventType
from orders.leg_types import Leg, Mark, Wait
from orders.legs import BY_NAME, PAYMENT, STOCK, WAITS
from orders.models import Batch, Journey, Order
from orders.operators import blockers, exposure
from orders.operators.blockers import Blocker
from orders.operators.situations import WAITS_FOR_NOTHING, Explanation, Facts, Situation
from orders.reporting.wording import attention as in_words
from orders.status import UNDER_WAY, Status
from orders.waits.leg_breakers import breaker_state
from payments import ledger
from payments.balance import balance
from payments.models import Transaction
from scheduling.slots import database_now

BECAUSE_OF = {
    blockers.Kind.BROKER: Situation.BROKER,
    blockers.Kind.DISPATCHER: Situation.NOT_CLAIMED,
    blockers.Kind.WORKER: Situation.NO_WORKER,
}


def explain(order: Order) -> Explanation:
    """Return why an order is where it is now."""
    facts = Facts(order, order.journey, database_now(), ledger.entries_of([order.pk]).get(order.pk, []))
    journey = facts.journey
    if is_at_rest(journey):
        return _rests(facts)
    if journey.due_at is None:
        return _stopped(facts) if journey.attention else _held(facts)
    if journey.due_at > facts.now and journey.batch_id is not None:
        return _travels(facts)
    if journey.waiting_for:
        return _waits(facts)
    if journey.due_at > facts.now and journey.status == Status.PROCESSING and facts.unknown:
        return _is_called(facts, facts.unknown[-1])
    return _is_due(facts)


def is_at_rest(journey: Journey) -> bool:
    """Whether nothing is in progress, and nothing needs attention."""
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
        f"It is {facts.journey.status} and needs attention: {_as_sentence(attention)}"
        if facts.journey.has_ended
        else f"It stopped: {_as_sentence(attention)}{exposure.unresolved(facts)}",
        safe_to_retry=facts.journey.may_be_retried,
        next_action=_way_on(facts),
    )


def _refunds(facts: Facts) -> str:
    if facts.journey.status not in (Status.CONFIRMED, Status.COMPLETED):
        return ""
    refunded = balance(facts.book).refunded
    return (
        f"{refunded} of {facts.order.total_amount} {facts.order.currency} is refunded. " if refunded else ""
    )


def _way_on(facts: Facts) -> str:
    is_refused = "refused by the provider" in facts.journey.attention
    if (
        facts.journey.payment == PAYMENT.REFUNDING
        and facts.journey.status != Status.CANCELLING
        and is_refused
    ):
        return (
            "Resolve this in the payment provider's dashboard, then retry: the refund is sent again, under a new"
            " idempotency key."
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
    return _continues(
        facts,
        Situation.UNDER_WAY,
        f"batch {facts.journey.batch_id}",
        batch.started_at if batch else facts.since(),
        why=f"Being processed (batch {facts.journey.batch_id}{_size(batch)}).",
        next_action="No action needed. If its worker crashes, the order is retried when its lease expires.",
        in_the_way=_obstacles(facts, is_to_be_claimed=False),
    )


def _is_called(facts: Facts, call: Transaction) -> Explanation:
    return _continues(
        facts,
        Situation.UNDER_WAY,
        f"the payment provider's answer to the {call.kind}",
        call.asked_at,
        why=f"The payment provider is called for the {call.kind} of {format_amount(call.amount, call.currency)}.",
        next_action="Nothing to do. If the worker that waits for the answer is lost, the call is looked up by its key.",
    )


def _is_due(facts: Facts) -> Explanation:
    journey, in_the_way = facts.journey, _obstacles(facts, is_to_be_claimed=True)
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
    if journey.payment == PAYMENT.REFUNDING and journey.status != Status.CANCELLING:
        why = f"It is {journey.status}, and a refund was requested. {why}"
    elif journey.status == Status.CONFIRMED:
        why = f"It is confirmed, and its completion was requested. {why}"
    calm = Situation.BATCH_LOST if journey.batch_id is not None else _calm(facts)
    return _continues(
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
    return _continues(
        facts,
        Situation.NOT_CLAIMED,
        "a dispatcher",
        due_at,
        why="It is due, but no dispatcher claims it, although one is running."
        f" {batches} of at most {settings.MAX_CONCURRENT_BATCHES} batches are in progress.",
        next_action="Check the dispatchers and the batches in progress on the status page.",
    )


def _waits(facts: Facts) -> Explanation:
    match facts.journey.waiting_for:
        case PAYMENT.PROVIDER_AWAY:
            return _waits_for_provider(facts)
        case PAYMENT.OUTCOME_UNKNOWN:
            return _waits_for_outcome(facts)
        case STOCK.UNITS_HELD:
            return _waits_for_stock(facts)
        case code if code in WAITS and WAITS[code].leg:
            return _waits_for_leg(facts, WAITS[code])
        case _:
            return _waits_for_step(facts)


def _waits_for_provider(facts: Facts) -> Explanation:
    earlier_call = (
        f" The outcome of the earlier {facts.unknown[0].kind} call is unknown; it is looked up first."
        if facts.unknown
        else " Nothing was sent to it."
    )
    return _continues(
        facts,
        PAYMENT.PROVIDER_AWAY,
        "the payment provider",
        facts.since(EventType.WAITING),
        why=f"The payment provider cannot be reached. {blockers.told(breaker_state(PAYMENT.provider))}.{earlier_call}",
        next_action="No action needed: it continues automatically once the provider responds."
        f" {blockers.NO_ATTEMPT}",
        in_the_way=_poll_blockers(facts),
    )


def _waits_for_outcome(facts: Facts) -> Explanation:
    first = facts.unknown[0] if facts.unknown else None
    what = f"{first.kind} of {format_amount(first.amount, first.currency)}" if first else "payment"
    last_response = f" Last response: {first.code}." if first and first.code else ""
    return _continues(
        facts,
        PAYMENT.OUTCOME_UNKNOWN,
        f"the outcome of the {what}",
        first.started_at if first else facts.since(EventType.WAITING),
        why=f"The outcome of the {what} at the payment provider is unknown.{last_response}",
        next_action="No action needed yet: it is looked up by its idempotency key before anything is repeated."
        " No double charges.",
        in_the_way=_poll_blockers(facts),
    )


def _waits_for_stock(facts: Facts) -> Explanation:
    since = facts.since(EventType.WAITING)
    until = since + timedelta(seconds=settings.STOCK_WAIT_SECONDS)
    return _continues(
        facts,
        STOCK.UNITS_HELD,
        "units that unpaid orders hold",
        since,
        why="Enough units are on hand, but orders that are not paid yet hold them. It is in the queue for them, and"
        f" is refused as out of stock if it has none at {until:%H:%M:%S} UTC.",
        next_action="Nothing to do: it goes on as soon as the units are free, or sold to others.",
        in_the_way=_poll_blockers(facts),
    )


def _waits_for_leg(facts: Facts, wait: Wait) -> Explanation:
    """Explain the wait of a leg that has no explanation of its own, from what it declares."""
    provider = BY_NAME[wait.leg].provider
    state = f" {blockers.told(breaker_state(provider))}." if provider else ""
    what = "nothing was sent" if wait.mark is Mark.AWAY else "what was sent is not answered yet"
    return _continues(
        facts,
        wait,
        wait.words,
        facts.since(EventType.WAITING),
        why=f"The leg {BY_NAME[wait.leg].title.lower()} waits for {wait.words}: {what}.{state}",
        next_action=f"No action needed: it is retried. {blockers.NO_ATTEMPT if wait.retry_seconds else ''}".strip(),
        in_the_way=_poll_blockers(facts),
    )


def _waits_for_step(facts: Facts) -> Explanation:
    silent = " and ".join(leg.name for leg in _open_legs(facts.journey)) or "fan-in"
    return _continues(
        facts,
        Situation.LOST_STEP,
        "a step that did not report back",
        facts.since(EventType.WAITING),
        why=f"A step did not report back ({silent}): its worker crashed or its message was lost.",
        next_action="No action needed: it is run again, which is safe. If this persists, check its workers.",
        in_the_way=_obstacles(facts, is_to_be_claimed=facts.is_overdue),
    )


def _continues(
    facts: Facts,
    situation: str,
    waiting_for: str,
    since: datetime,
    *,
    why: str,
    next_action: str,
    in_the_way: list[Blocker] | None = None,
) -> Explanation:
    if in_the_way:
        first = in_the_way[0]
        situation = BECAUSE_OF.get(first.kind) or _provider_away(first)
        waiting_for, next_action = first.waiting_for, first.next_action
        why = " ".join([why, *(obstacle.why for obstacle in in_the_way)])
    return Explanation(
        situation,
        waiting_for,
        since,
        f"{why}{exposure.unresolved(facts)}{_attention_note(facts)}",
        safe_to_retry=facts.journey.may_be_retried,
        next_action=next_action,
        next_look=facts.journey.due_at,
    )


def _provider_away(blocker: Blocker) -> str:
    """Return the situation of orders that a provider keeps: the first such wait of its leg."""
    return legs.waits_for_provider(blocker.provider)[0]


# --- Blockers ---------------------------------------------------------------------------------------------


def _obstacles(facts: Facts, *, is_to_be_claimed: bool) -> list[Blocker]:
    open_legs = _open_legs(facts.journey)
    return blockers.around(
        queues=_queues(facts.journey, open_legs),
        is_to_be_claimed=is_to_be_claimed,
        providers=[leg.provider for leg in open_legs if leg.provider],
    )


def _poll_blockers(facts: Facts) -> list[Blocker]:
    if not facts.is_overdue:
        return []
    queues = _queues(facts.journey, _open_legs(facts.journey))
    return blockers.around(queues=queues, is_to_be_claimed=True, providers=[])


def _queues(journey: Journey, open_legs: Sequence[Leg]) -> list[str]:
    queues = [leg.queue for leg in open_legs]
    return [*queues, "orders"] if journey.status in (Status.CONFIRMED, Status.CANCELLING) else queues


def _open_legs(journey: Journey) -> list[Leg]:
    """Return the legs with work to do now; the payment's, if all are done: it captures."""
    states = SimpleNamespace(**legs.states_by_name(journey))
    if journey.status == Status.CANCELLING:
        return legs.holding(states)
    if journey.status == Status.CONFIRMED:
        return []
    return [leg for leg in legs.LEGS if getattr(states, leg.name).is_to_try] or [PAYMENT]


# --- Wording ----------------------------------------------------------------------------------------------


def _as_sentence(text: str) -> str:
    """Return a text as a sentence; a provider's message may end in a full stop already."""
    return f"{text.rstrip('. ')}."


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


def _attention_note(facts: Facts) -> str:
    if not facts.journey.attention:
        return ""
    return f" It needs attention as well: {_as_sentence(in_words(facts.journey.attention))}"
