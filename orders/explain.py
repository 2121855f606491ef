"""Why an order is where it is: what it waits for, since when, whether a retry is safe, and what to do about it.

The same words in the API, in admin and from `manage.py explain`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from orders.models import Batch, Journey, Order, OrderEvent
from orders.telling import attention as in_words
from orders.workflow import UNDER_WAY, EventType, Status, Wait
from payments import ledger
from payments.ledger import State
from payments.models import Transaction
from providers.breaker import BreakerState, breaker
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
    PAYMENT_PROVIDER = "payment_provider"
    PAYMENT_OUTCOME = "payment_outcome"
    LOST_STEP = "lost_step"
    ATTENTION = "attention"
    COMPLETION = "completion"


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
    def text(self) -> str:
        """All of it, in sentences."""
        return " ".join(part for part in (self.why, self.next_action) if part)


class Facts(NamedTuple):
    """What an explanation goes by."""

    order: Order
    journey: Journey
    now: datetime
    unknown: list[Transaction]  # payment calls whose outcome is not known, the oldest first

    def since(self, *types: EventType) -> datetime:
        """Return when the latest event of these types happened; failing that, the latest of all."""
        events = OrderEvent.objects.filter(order_id=self.order.pk)
        latest = events.filter(type__in=types).order_by("-sequence").first()
        latest = latest or events.order_by("-sequence").first()
        return latest.at if latest else self.order.placed_at


def explain(order: Order) -> Explanation:
    """Return why an order is where it is now."""
    book = ledger.transactions_of([order.pk]).get(order.pk, {})
    unknown = sorted((t for t in book.values() if t.state == State.UNKNOWN), key=lambda t: t.started_at)
    facts = Facts(order, order.journey, database_now(), unknown)
    journey = facts.journey
    if journey.status not in UNDER_WAY:
        return _rests(facts)
    if journey.due_at is None:
        return _stopped(facts) if journey.attention else _held(facts)
    if journey.batch_id is not None and journey.due_at > facts.now:
        return _travels(facts)
    if journey.waiting_for:
        return _waits(facts)
    return _is_due(facts)


# --- Nobody has to do anything, or somebody has to do something -------------------------------------------


def _rests(facts: Facts) -> Explanation:
    if facts.journey.due_at is not None:
        return Explanation(
            Situation.COMPLETION,
            "the next batch",
            facts.journey.due_at,
            "It is confirmed, and its completion was asked for.",
            safe_to_retry=False,
            next_action="Nothing to do: it is completed with the next batch.",
            next_look=facts.journey.due_at,
        )
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
    """It stopped, and only a person gets it going."""
    refused = (
        facts.journey.status == Status.CANCELLING and "refused by the provider" in facts.journey.attention
    )
    risk = f" At risk: {_amount(facts)}." if facts.journey.status == Status.CANCELLING else ""
    return Explanation(
        Situation.ATTENTION,
        "a person",
        facts.since(EventType.ATTENTION_NEEDED),
        f"It stopped: {in_words(facts.journey.attention)}.{risk}",
        safe_to_retry=True,
        next_action=(
            "Settle it with the payment provider, then retry: the same payment is asked for again under the same"
            " key, and a refund made by hand there is recognised."
            if refused
            else "Look at the traceback in its events, see to the cause, then retry. Every step bears a repeat."
        ),
    )


# --- It goes on by itself ---------------------------------------------------------------------------------


def _travels(facts: Facts) -> Explanation:
    batch = Batch.objects.filter(pk=facts.journey.batch_id or 0).first()
    return Explanation(
        Situation.UNDER_WAY,
        f"batch {facts.journey.batch_id}",
        batch.started_at if batch else facts.since(),
        f"It travels in batch {facts.journey.batch_id}{f' of {batch.size}' if batch else ''}.{_also(facts)}",
        safe_to_retry=True,
        next_action="Nothing to do. If its worker is lost, the order is taken up again when its lease ends.",
        next_look=facts.journey.due_at,
    )


def _is_due(facts: Facts) -> Explanation:
    due_at = facts.journey.due_at
    assert due_at is not None
    overdue = facts.now - due_at > DISPATCHER_PATIENCE
    return Explanation(
        Situation.NOT_CLAIMED if overdue else Situation.DUE,
        "a dispatcher" if overdue else "the next batch",
        due_at,
        (
            "It is due, and no dispatcher takes it up: none is running, or too much is under way."
            if overdue
            else "It is due, and leaves with the next batch."
        ),
        safe_to_retry=True,
        next_action="Look at the dispatchers and the batches under way on the status page."
        if overdue
        else "",
        next_look=due_at,
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
    return Explanation(
        Situation.PAYMENT_PROVIDER,
        "the payment provider",
        facts.since(EventType.WAITING),
        f"The payment provider cannot be reached. {_breaker(breaker('payments').state())}.{asked}{_also(facts)}",
        safe_to_retry=True,
        next_action="Nothing to do: it goes on by itself when the provider answers again, and uses up no attempt.",
        next_look=facts.journey.due_at,
    )


def _waits_for_outcome(facts: Facts) -> Explanation:
    first = facts.unknown[0] if facts.unknown else None
    what = f"{first.kind} of {first.amount} {first.currency}" if first else "payment"
    said = f" The last word was: {first.code}." if first and first.code else ""
    return Explanation(
        Situation.PAYMENT_OUTCOME,
        f"the outcome of the {what}",
        first.started_at if first else facts.since(EventType.WAITING),
        f"The payment provider was asked for the {what}, and nobody knows yet what came of it.{said}{_also(facts)}",
        safe_to_retry=True,
        next_action=(
            "Nothing to do yet: it is looked up by its key before anything is asked again, so nobody pays twice."
        ),
        next_look=facts.journey.due_at,
    )


def _waits_for_step(facts: Facts) -> Explanation:
    journey = facts.journey
    legs = {"stock": journey.stock, "shipping": journey.shipping, "payment": journey.payment}
    silent = " and ".join(name for name, leg in legs.items() if not leg) or "settling"
    return Explanation(
        Situation.LOST_STEP,
        "a step that did not report back",
        facts.since(EventType.WAITING),
        f"A step did not report back ({silent}): its worker or its message was lost.{_also(facts)}",
        safe_to_retry=True,
        next_action="Nothing to do: it is run again, which does no harm. If this goes on, look at its workers.",
        next_look=journey.due_at,
    )


# --- Words ------------------------------------------------------------------------------------------------


def _also(facts: Facts) -> str:
    """Return that it goes on although a person was called, if so."""
    if not facts.journey.attention:
        return ""
    return f" A person was called as well: {in_words(facts.journey.attention)}."


def _amount(facts: Facts) -> str:
    age = facts.now - facts.since(EventType.CANCELLATION_STARTED, EventType.PAYMENT_ARRIVED_LATE)
    return f"{facts.order.total_amount} {facts.order.currency}, for {_span(age)}"


def _breaker(state: BreakerState) -> str:
    match state.state:
        case "open":
            when = f" until {state.retry_at:%H:%M:%S} UTC" if state.retry_at else ""
            failed = f": {state.failures} of {state.calls} calls failed" if state.calls else ""
            return f"Its breaker is open{when}{failed}"
        case "half_open":
            return "Its breaker is trying one call"
        case "closed":
            return "Its breaker is closed again"
    return "The state of its breaker is not known"


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} seconds"
