"""Why an order waits, and for what: `orders.legs` declares the waits."""

from datetime import timedelta

from django.conf import settings

from iso.currencies import format_amount
from orders.events import EventType
from orders.legs import BY_NAME, PAYMENT, STOCK, WAITS
from orders.operators import blockers
from orders.operators.continuing import continues, obstacles, open_legs, poll_blockers
from orders.operators.situations import Explanation, Facts, Situation
from orders.rules.leg_types import Mark, Wait
from orders.waits.leg_breakers import breaker_state
from payments import ledger
from payments.models import Transaction


def waits(facts: Facts) -> Explanation:
    match facts.journey.waiting_for:
        case PAYMENT.PROVIDER_AWAY:
            return _waits_for_provider(facts)
        case PAYMENT.OUTCOME_UNKNOWN:
            return _waits_for_outcome(facts)
        case PAYMENT.CUSTOMER | PAYMENT.BANK:
            return _waits_for_decision(facts, WAITS[facts.journey.waiting_for])
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
    return continues(
        facts,
        PAYMENT.PROVIDER_AWAY,
        "the payment provider",
        facts.since(EventType.WAITING),
        why="The payment provider cannot be reached."
        f" {blockers.breaker_text(breaker_state(PAYMENT.provider))}.{earlier_call}",
        next_action="No action needed: it continues automatically once the provider responds."
        f" {blockers.NO_ATTEMPT}",
        in_the_way=poll_blockers(facts),
    )


def _waits_for_outcome(facts: Facts) -> Explanation:
    first = facts.unknown[0] if facts.unknown else None
    what = f"{first.kind} of {format_amount(first.amount, first.currency)}" if first else "payment"
    last_response = f" Last response: {first.code}." if first and first.code else ""
    return continues(
        facts,
        PAYMENT.OUTCOME_UNKNOWN,
        f"the outcome of the {what}",
        first.started_at if first else facts.since(EventType.WAITING),
        why=f"The outcome of the {what} at the payment provider is unknown.{last_response}",
        next_action="No action needed yet: it is looked up by its idempotency key before anything is repeated."
        " No double charges.",
        in_the_way=poll_blockers(facts),
    )


def _waits_for_decision(facts: Facts, wait: Wait) -> Explanation:
    """Explain a payment that the customer or the bank decides; the link to complete it is not shown."""
    call = facts.unknown[0] if facts.unknown else None
    what = f"{call.kind} of {format_amount(call.amount, call.currency)}" if call else "payment"
    until = _time_to_pay(call)
    return continues(
        facts,
        wait,
        wait.words,
        facts.since(EventType.WAITING),
        why=f"The {what} is not decided yet: it waits for {wait.words}."
        + (f" {call.message}" if call and call.message else "")
        + (f" If it is not paid by {until}, it is voided and the order cancelled." if until else ""),
        next_action="No action needed: it continues with the provider's webhook, and is also looked up regularly."
        f" {blockers.NO_ATTEMPT}",
        in_the_way=poll_blockers(facts),
    )


def _time_to_pay(call: Transaction | None) -> str:
    until = ledger.time_to_pay(call) if call else None
    return f"{until:%Y-%m-%d %H:%M} UTC" if until else ""


def _waits_for_stock(facts: Facts) -> Explanation:
    since = facts.since(EventType.WAITING)
    until = since + timedelta(seconds=settings.STOCK_WAIT_SECONDS)
    return continues(
        facts,
        STOCK.UNITS_HELD,
        "units that unpaid orders hold",
        since,
        why="Enough units are on hand, but orders that are not paid yet hold them. It is in the queue for them, and"
        f" is refused as out of stock if it has none at {until:%H:%M:%S} UTC.",
        next_action="Nothing to do: it goes on as soon as the units are free, or sold to others.",
        in_the_way=poll_blockers(facts),
    )


def _waits_for_leg(facts: Facts, wait: Wait) -> Explanation:
    """Explain the wait of a leg that has no explanation of its own, from what it declares."""
    provider = BY_NAME[wait.leg].provider
    state = f" {blockers.breaker_text(breaker_state(provider))}." if provider else ""
    what = "nothing was sent" if wait.mark is Mark.AWAY else "what was sent is not answered yet"
    return continues(
        facts,
        wait,
        wait.words,
        facts.since(EventType.WAITING),
        why=f"The leg {BY_NAME[wait.leg].title.lower()} waits for {wait.words}: {what}.{state}",
        next_action=f"No action needed: it is retried. {blockers.NO_ATTEMPT if wait.retry_seconds else ''}".strip(),
        in_the_way=poll_blockers(facts),
    )


def _waits_for_step(facts: Facts) -> Explanation:
    silent = " and ".join(leg.name for leg in open_legs(facts.journey)) or "fan-in"
    return continues(
        facts,
        Situation.LOST_STEP,
        "a step that did not report back",
        facts.since(EventType.WAITING),
        why=f"A step did not report back ({silent}): its worker crashed or its message was lost.",
        next_action="No action needed: it is run again, which is safe. If this persists, check its workers.",
        in_the_way=obstacles(facts, is_to_be_claimed=facts.is_overdue),
    )
