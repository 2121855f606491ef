"""Why an order is where it is: what it waits for, since when, whether a retry is safe, and what to do about it.

The same words in the API, in admin and from `manage.py explain`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from django.conf import settings

from orders.models import Batch, Journey, Order, OrderEvent
from orders.operators import blockers
from orders.operators.blockers import Blocker
from orders.operators.wording import attention as in_words
from orders.workflow import UNDER_WAY, EventType, Leg, Status, Wait
from payments import ledger
from payments.ledger import Kind, State
from payments.models import Transaction
from providers.breaker import breaker
from scheduling.slots import database_now

# An order that is due for longer than this was not looked at by any dispatcher.
DISPATCHER_PATIENCE = timedelta(seconds=15)


class Situation(StrEnum):
    """What an order is doing, as a stable code."""

    AT_REST = "at_rest"
    HELD = "held"
    DUE = "due"
    NOT_CLAIMED = "not_claimed"  # due, and nobody takes it up
    UNDER_WAY = "under_way"
    BATCH_LOST = "batch_lost"  # its batch did not end within the lease
    BROKER = "broker"  # nothing can be sent to the workers
    NO_WORKER = "no_worker"  # nobody reads a queue that it has to go through
    PAYMENT_PROVIDER = "payment_provider"
    PAYMENT_OUTCOME = "payment_outcome"
    LOST_STEP = "lost_step"
    ATTENTION = "attention"
    COMPLETION = "completion"


BECAUSE_OF = {
    blockers.Kind.BROKER: Situation.BROKER,
    blockers.Kind.DISPATCHER: Situation.NOT_CLAIMED,
    blockers.Kind.WORKER: Situation.NO_WORKER,
    blockers.Kind.PROVIDER: Situation.PAYMENT_PROVIDER,
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an order is where it is. `next_look` is when it is looked at without anybody's doing."""

    situation: Situation
    waiting_for: str
    since: datetime | None
    why: str
    safe_to_retry: bool
    next_action: str
    next_look: datetime | None = None

    @property
    def is_on_its_way(self) -> bool:
        """Whether it goes as it should, and there is nothing that it waits for in particular."""
        return self.situation in (Situation.DUE, Situation.UNDER_WAY, Situation.COMPLETION)

    @property
    def text(self) -> str:
        """All of it, in sentences."""
        return " ".join(part for part in (self.why, self.next_action) if part)


class Facts(NamedTuple):
    """What an explanation goes by."""

    order: Order
    journey: Journey
    now: datetime
    book: Mapping[str, Transaction]  # by kind: what the payment provider was asked for

    @property
    def unknown(self) -> list[Transaction]:
        """Payment calls whose outcome is not known, the oldest first."""
        found = (t for t in self.book.values() if t.state == State.UNKNOWN)
        return sorted(found, key=lambda transaction: transaction.started_at)

    @property
    def is_overdue(self) -> bool:
        """Whether it is due for so long that somebody should have taken it up."""
        due_at = self.journey.due_at
        return due_at is not None and self.now - due_at > DISPATCHER_PATIENCE

    def since(self, *types: EventType) -> datetime:
        """Return when the latest event of these types happened; failing that, the latest of all."""
        events = OrderEvent.objects.filter(order_id=self.order.pk)
        latest = events.filter(type__in=types).order_by("-sequence").first()
        latest = latest or events.order_by("-sequence").first()
        return latest.at if latest else self.order.placed_at


def explain(order: Order) -> Explanation:
    """Return why an order is where it is now."""
    facts = Facts(order, order.journey, database_now(), ledger.transactions_of([order.pk]).get(order.pk, {}))
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
    """Whether nothing is under way, and nobody is asked to do anything."""
    return journey.status not in UNDER_WAY and journey.due_at is None and not journey.attention


# --- Nobody has to do anything, or somebody has to do something -------------------------------------------


def _rests(facts: Facts) -> Explanation:
    return Explanation(
        Situation.AT_REST,
        "nothing",
        facts.journey.finished_at,
        f"It is {facts.journey.status}. Nothing is under way.",
        safe_to_retry=False,
        next_action="",
    )


def _held(facts: Facts) -> Explanation:
    return Explanation(
        Situation.HELD,
        "somebody to start it",
        facts.order.placed_at,
        "It was placed on hold. No stock is reserved and no money was asked for.",
        safe_to_retry=False,
        next_action="Process it to start it, or cancel it.",
    )


def _stopped(facts: Facts) -> Explanation:
    """A person was called, and only a person gets it going, or off the list."""
    attention = in_words(facts.journey.attention)
    return Explanation(
        Situation.ATTENTION,
        "a person",
        facts.since(EventType.ATTENTION_NEEDED),
        f"It is {facts.journey.status}, and a person was called: {attention}."
        if facts.journey.has_ended
        else f"It stopped: {attention}.{_money(facts)}",
        safe_to_retry=facts.journey.may_be_retried,
        next_action=_way_on(facts),
    )


def _way_on(facts: Facts) -> str:
    if facts.journey.has_ended:
        return "See to it, then retry: that takes it off the list, and changes nothing else."
    if facts.journey.status == Status.CANCELLING and "refused by the provider" in facts.journey.attention:
        return (
            "Settle it with the payment provider, then retry: the same payment is asked for again under the same"
            " key, and a refund made by hand there is recognised."
        )
    return "Look at the traceback in its events, see to the cause, then retry. Every step bears a repeat."


# --- It goes on by itself ---------------------------------------------------------------------------------


def _travels(facts: Facts) -> Explanation:
    batch = Batch.objects.filter(pk=facts.journey.batch_id or 0).first()
    return _goes_on(
        facts,
        Situation.UNDER_WAY,
        f"batch {facts.journey.batch_id}",
        batch.started_at if batch else facts.since(),
        why=f"It travels in batch {facts.journey.batch_id}{f' of {batch.size}' if batch else ''}.",
        next_action="Nothing to do. If its worker is lost, the order is taken up again when its lease ends.",
        in_the_way=_obstacles(facts, is_to_be_claimed=False),
    )


def _is_called(facts: Facts, call: Transaction) -> Explanation:
    return _goes_on(
        facts,
        Situation.UNDER_WAY,
        f"the payment provider's answer to the {call.kind}",
        call.asked_at,
        why=f"The payment provider is called for the {call.kind} of {call.amount} {call.currency}.",
        next_action="Nothing to do. If the worker that waits for the answer is lost, the call is looked up by its key.",
    )


def _is_due(facts: Facts) -> Explanation:
    journey, in_the_way = facts.journey, _obstacles(facts, is_to_be_claimed=True)
    assert journey.due_at is not None
    if facts.is_overdue and not in_the_way:
        return _has_no_capacity(facts, journey.due_at)
    if journey.due_at > facts.now:
        in_the_way = in_the_way or [blockers.BROKER]
        why = "It was claimed, and its batch could not be sent."
    elif journey.batch_id is not None:
        why = f"{_lost(facts)} It is due again."
    else:
        why = "It is due, and leaves with the next batch."
    if journey.status == Status.CONFIRMED:
        why = f"It is confirmed, and its completion was asked for. {why}"
    calm = Situation.BATCH_LOST if journey.batch_id is not None else _calm(facts)
    return _goes_on(
        facts,
        calm,
        "the next batch",
        journey.due_at,
        why=why,
        next_action="Nothing to do.",
        in_the_way=in_the_way,
    )


def _calm(facts: Facts) -> Situation:
    return Situation.COMPLETION if facts.journey.status == Status.CONFIRMED else Situation.DUE


def _has_no_capacity(facts: Facts, due_at: datetime) -> Explanation:
    lease = timedelta(seconds=settings.LEASE_SECONDS)
    batches = Batch.objects.filter(finished_at=None, started_at__gt=facts.now - lease).count()
    return _goes_on(
        facts,
        Situation.NOT_CLAIMED,
        "a dispatcher",
        due_at,
        why="It is due, and no dispatcher takes it up, although one is running."
        f" {batches} batches are under way, at most {settings.MAX_CONCURRENT_BATCHES} may be.",
        next_action="Look at the dispatchers and the batches under way on the status page.",
    )


def _waits(facts: Facts) -> Explanation:
    match facts.journey.waiting_for:
        case Wait.PAYMENT_PROVIDER:
            return _waits_for_provider(facts)
        case Wait.PAYMENT_OUTCOME:
            return _waits_for_outcome(facts)
        case _:
            return _waits_for_step(facts)


def _waits_for_provider(facts: Facts) -> Explanation:
    asked = (
        f" What came of the {facts.unknown[0].kind} asked for before is not known; it is looked up first."
        if facts.unknown
        else " Nothing was asked of it."
    )
    return _goes_on(
        facts,
        Situation.PAYMENT_PROVIDER,
        "the payment provider",
        facts.since(EventType.WAITING),
        why=f"The payment provider cannot be reached. {blockers.told(breaker('payments').state())}.{asked}",
        next_action="Nothing to do: it goes on by itself when the provider answers again, and uses up no attempt.",
        in_the_way=_standing_still(facts),
    )


def _waits_for_outcome(facts: Facts) -> Explanation:
    first = facts.unknown[0] if facts.unknown else None
    what = f"{first.kind} of {first.amount} {first.currency}" if first else "payment"
    said = f" The last word was: {first.code}." if first and first.code else ""
    return _goes_on(
        facts,
        Situation.PAYMENT_OUTCOME,
        f"the outcome of the {what}",
        first.started_at if first else facts.since(EventType.WAITING),
        why=f"The payment provider was asked for the {what}, and nobody knows yet what came of it.{said}",
        next_action="Nothing to do yet: it is looked up by its key before anything is asked again; nobody pays twice.",
        in_the_way=_standing_still(facts),
    )


def _waits_for_step(facts: Facts) -> Explanation:
    silent = " and ".join(_open_legs(facts.journey)) or "settling"
    return _goes_on(
        facts,
        Situation.LOST_STEP,
        "a step that did not report back",
        facts.since(EventType.WAITING),
        why=f"A step did not report back ({silent}): its worker or its message was lost.",
        next_action="Nothing to do: it is run again, which does no harm. If this goes on, look at its workers.",
        in_the_way=_obstacles(facts, is_to_be_claimed=facts.is_overdue),
    )


def _goes_on(
    facts: Facts,
    situation: Situation,
    waiting_for: str,
    since: datetime,
    *,
    why: str,
    next_action: str,
    in_the_way: list[Blocker] | None = None,
) -> Explanation:
    """Return how it is with an order that goes on by itself, as soon as nothing is in the way any more."""
    if in_the_way:
        first = in_the_way[0]
        situation, waiting_for, next_action = BECAUSE_OF[first.kind], first.waiting_for, first.next_action
        why = " ".join([why, *(obstacle.why for obstacle in in_the_way)])
    return Explanation(
        situation,
        waiting_for,
        since,
        f"{why}{_money(facts)}{_also(facts)}",
        safe_to_retry=facts.journey.may_be_retried,
        next_action=next_action,
        next_look=facts.journey.due_at,
    )


# --- What is in the way -----------------------------------------------------------------------------------


def _obstacles(facts: Facts, *, is_to_be_claimed: bool) -> list[Blocker]:
    journey = facts.journey
    queues = _queues(journey)
    return blockers.around(
        queues=queues, is_to_be_claimed=is_to_be_claimed, needs_provider="payments" in queues
    )


def _standing_still(facts: Facts) -> list[Blocker]:
    """What waits for the provider is looked at again and again, unless nobody looks."""
    if not facts.is_overdue:
        return []
    return blockers.around(queues=_queues(facts.journey), is_to_be_claimed=True, needs_provider=False)


def _queues(journey: Journey) -> list[str]:
    """Return the queues that the order still has to go through."""
    if journey.status == Status.CONFIRMED:
        return ["orders"]
    legs = {"stock": "inventory", "shipping": "shipping", "payment": "payments"}
    found = [legs[leg] for leg in _open_legs(journey)]
    return [*found, "orders"] if journey.status == Status.CANCELLING else found or ["payments"]


def _open_legs(journey: Journey) -> list[str]:
    """Return the legs that something is still to come of."""
    if journey.status == Status.CANCELLING:
        stock = journey.stock in (Leg.RESERVED, Leg.SOLD)
        money = journey.shipping == Leg.QUOTED and journey.payment in (
            Leg.PENDING,
            Leg.AUTHORIZED,
            Leg.CAPTURED,
        )
        return [name for name, is_open in (("stock", stock), ("payment", money)) if is_open]
    legs = {"stock": journey.stock, "shipping": journey.shipping, "payment": journey.payment}
    return [name for name, leg in legs.items() if not leg]


# --- Words ------------------------------------------------------------------------------------------------


def _lost(facts: Facts) -> str:
    """Return what is known of the end of its batch."""
    batch = Batch.objects.filter(pk=facts.journey.batch_id or 0).first()
    run = batch.step_runs.filter(ended_at=None).order_by("-began_at").first() if batch else None
    if run:
        where = f" on {run.worker}" if run.worker else ""
        what = f"the step “{run.step.replace('_', ' ')}” did not end{where}"
    elif batch and batch.is_watched:
        what = "its message was lost, or waits in a queue"
    else:
        what = "a worker or a message was lost, or it waits in a queue"
    return f"Batch {facts.journey.batch_id} did not arrive within {settings.LEASE_SECONDS:g} seconds: {what}."


def _also(facts: Facts) -> str:
    """Return that it goes on although a person was called, if so."""
    if not facts.journey.attention:
        return ""
    return f" A person was called as well: {in_words(facts.journey.attention)}."


def _money(facts: Facts) -> str:
    """Return what the provider still has of an order that is being called off."""
    if facts.journey.status != Status.CANCELLING:
        return ""
    amount, has = _at_risk(facts.book)
    age = facts.now - facts.since(EventType.CANCELLATION_STARTED, EventType.PAYMENT_ARRIVED_LATE)
    return (
        f" At risk: {amount} {facts.order.currency}, which the provider {has}, for {_span(age)}."
        if has
        else ""
    )


def _at_risk(book: Mapping[str, Transaction]) -> tuple[Decimal, str]:
    """Return how much the provider has of the customer's, and how sure that is; nothing in words if it has none."""
    given_back = {
        kind for kind in (Kind.VOID, Kind.REFUND) if kind in book and book[kind].state == State.SUCCEEDED
    }
    for kind, has, undo in ((Kind.CAPTURE, "has", Kind.REFUND), (Kind.AUTHORIZE, "holds", Kind.VOID)):
        asked = book.get(kind)
        if asked and asked.state in (State.SUCCEEDED, State.UNKNOWN):
            if given_back & {undo, Kind.REFUND}:
                return Decimal(0), ""
            return asked.amount, has if asked.state == State.SUCCEEDED else "may have or hold"
    return Decimal(0), ""


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} seconds"
