"""What explanations of an order under way have in common: blockers, unresolved money, attention."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

from iso.currencies import format_amount
from orders import legs
from orders.events import EventType
from orders.legs import PAYMENT
from orders.models import Journey
from orders.operators import blockers
from orders.operators.blockers import Blocker
from orders.operators.situations import Explanation, Facts, Situation
from orders.reporting.wording import attention as in_words
from orders.rules.leg_types import Leg
from orders.status import Status
from payments.balance import balance
from payments.ledger import Kind, State
from payments.models import Transaction

BECAUSE_OF = {
    blockers.Kind.BROKER: Situation.BROKER,
    blockers.Kind.DISPATCHER: Situation.NOT_CLAIMED,
    blockers.Kind.WORKER: Situation.NO_WORKER,
}


def continues(
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
        f"{why}{unresolved_money(facts)}{_attention_note(facts)}",
        safe_to_retry=facts.journey.may_be_retried,
        next_action=next_action,
        next_look=facts.journey.due_at,
    )


def _provider_away(blocker: Blocker) -> str:
    """Return the situation of orders that a provider keeps: the first such wait of its leg."""
    return legs.waits_for_provider(blocker.provider)[0]


def obstacles(facts: Facts, *, is_to_be_claimed: bool) -> list[Blocker]:
    open_ones = open_legs(facts.journey)
    return blockers.around(
        queues=_queues(facts.journey, open_ones),
        is_to_be_claimed=is_to_be_claimed,
        providers=[leg.provider for leg in open_ones if leg.provider],
    )


def poll_blockers(facts: Facts) -> list[Blocker]:
    if not facts.is_overdue:
        return []
    queues = _queues(facts.journey, open_legs(facts.journey))
    return blockers.around(queues=queues, is_to_be_claimed=True, providers=[])


def _queues(journey: Journey, open_legs: Sequence[Leg]) -> list[str]:
    queues = [leg.queue for leg in open_legs]
    return [*queues, "orders"] if journey.status in (Status.CONFIRMED, Status.CANCELLING) else queues


def open_legs(journey: Journey) -> list[Leg]:
    """Return the legs with work to do now; the payment's, if all are done: it captures."""
    states = SimpleNamespace(**legs.states_by_name(journey))
    if journey.status == Status.CANCELLING:
        return legs.holding(states)
    if journey.status == Status.CONFIRMED:
        return []
    return [leg for leg in legs.LEGS if getattr(states, leg.name).is_to_try] or [PAYMENT]


def as_sentence(text: str) -> str:
    """Return a text as a sentence; a provider's message may end in a full stop already."""
    return f"{text.rstrip('. ')}."


def _attention_note(facts: Facts) -> str:
    if not facts.journey.attention:
        return ""
    return f" It needs attention as well: {as_sentence(in_words(facts.journey.attention))}"


def unresolved_money(facts: Facts) -> str:
    if facts.journey.status != Status.CANCELLING:
        return ""
    amount, has = _exposure(facts.book)
    age = facts.now - facts.since(EventType.CANCELLATION_STARTED, EventType.PAYMENT_ARRIVED_LATE)
    return (
        f" Unresolved payment: the provider {has} {format_amount(amount, facts.order.currency)}, for {_span(age)}."
        if has
        else ""
    )


def _exposure(book: Sequence[Transaction]) -> tuple[Decimal, str]:
    """Return how much of the customer's money the provider has, and how certain that is; empty text if none."""
    sums = balance(book)
    if sums.captured:
        kept = sums.captured - sums.refunded
        return (kept, "has") if kept > 0 else (Decimal(0), "")
    standing = {entry.kind: entry for entry in book if entry.state in (State.SUCCEEDED, State.UNKNOWN)}
    if Kind.VOID in standing and standing[Kind.VOID].state == State.SUCCEEDED:
        return Decimal(0), ""
    for kind, has in ((Kind.CAPTURE, "has"), (Kind.AUTHORIZE, "holds")):
        if entry := standing.get(kind):
            return entry.amount, has if entry.state == State.SUCCEEDED else "may hold"
    return Decimal(0), ""


def _span(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            number = seconds // size
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds} seconds"
