"""How much of a customer's money the provider has while a cancellation is under way, in words."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from iso.currencies import format_amount
from orders.events import EventType
from orders.operators.situations import Facts
from orders.status import Status
from payments.balance import balance
from payments.ledger import Kind, State
from payments.models import Transaction


def unresolved(facts: Facts) -> str:
    """Return a sentence on the unresolved payment of an order in cancellation; empty text if there is none."""
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
    """Return the amount that the provider has, and how certain that is; empty text if none."""
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
