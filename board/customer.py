"""The customer's order page: status, payment, options."""

from dataclasses import replace
from decimal import Decimal
from itertools import groupby
from typing import Any

from rest_framework.request import Request

from board import panel
from board.cards import card
from board.panel import Action, Entry
from notifications.mail import REASONS
from orders.journal import events_of
from orders.models import Credit, Journey, Order
from orders.reporting.wording import is_code, reason_in_words
from orders.workflow import Leg, Status

HEADLINES = {
    Status.PENDING: "We've received your order",
    Status.PROCESSING: "We're processing your order",
    Status.CONFIRMED: "Your order is confirmed",
    Status.COMPLETED: "Your order has shipped",
    Status.CANCELLING: "Your order is being cancelled",
    Status.CANCELLED: "Your order is cancelled",
    Status.REJECTED: "We couldn't process your order",
}
STORIES = {
    Status.PROCESSING: "We're reserving your items, calculating shipping and authorizing the payment."
    " This takes a moment.",
    Status.CONFIRMED: "Your items are reserved and {total} is paid. We'll show it here when your order ships.",
    Status.COMPLETED: "{total} is paid. Thank you for your order.",
}
HELD = "Your order is on hold. Nothing is reserved or charged until it is released."
IN_THE_QUEUE = (
    "The last items are reserved by orders that are not paid yet. You're next in line if any become available."
    " We charge you only once the items are yours."
)
NEXT_IN_LINE = "Your order is next in line. Nothing has been charged yet."

MONEY_ON_ITS_WAY = {
    Leg.CAPTURED: "Your refund of {total} is on its way.",
    Leg.REFUNDING: "Your refund of {total} is on its way.",
    Leg.AUTHORIZED: "The {total} hold on your card is being released.",
    Leg.PENDING: "If anything is charged in the meantime, it will be refunded.",
}
MONEY_AT_THE_END = {
    Leg.REFUNDED: "You were refunded {total}.",
    Leg.VOIDED: "The {total} hold on your card was released. You were not charged.",
}
NOT_CHARGED = "You were not charged."

EFFECTS = {
    Leg.CAPTURED: "You'll be refunded {total}.",
    Leg.REFUNDING: "You'll be refunded {total}.",
    Leg.AUTHORIZED: "The {total} hold on your card will be released.",
}
NOTHING_CHARGED = "Nothing has been charged yet."

LEG_NAMES = {"stock": "Items", "shipping": "Delivery", "payment": "Payment"}


def context_of(order: Order, request: Request) -> dict[str, Any]:
    """Return the page's context."""
    return {
        "order": order,
        "journey": order.journey,
        "card": card(order),
        "lines": list(order.lines.all()),
        "headline": headline(order.journey),
        "story": story(order),
        "given_reason": _given_reason(order.journey),
        "consolation": panel.consolation(order.journey),
        "legs": [replace(leg, name=LEG_NAMES[leg.key]) for leg in panel.legs_of(order)],
        "actions": _actions(order, request),
        "timeline": _timeline(order),
    }


def headline(journey: Journey) -> str:
    """Return the headline, with the refund of a cancelled order."""
    if journey.status == Status.CANCELLED and journey.payment == Leg.REFUNDED:
        return "Your order is cancelled and refunded"
    return HEADLINES[Status(journey.status)]


def story(order: Order) -> str:
    """Return status, reason and state of the payment."""
    journey = order.journey
    status, payment = Status(journey.status), Leg(journey.payment)
    if status is Status.PENDING:
        return HELD if journey.due_at is None else NEXT_IN_LINE
    if status is Status.PROCESSING and journey.stock == Leg.SHORT:
        return IN_THE_QUEUE
    sentences = [_why(journey), STORIES.get(status, "")]
    if status in (Status.CONFIRMED, Status.COMPLETED):
        sentences.append(_refunds(order))
    elif status is Status.CANCELLING:
        sentences.append(MONEY_ON_ITS_WAY.get(payment, ""))
    elif status in (Status.CANCELLED, Status.REJECTED):
        sentences.append(MONEY_AT_THE_END.get(payment, NOT_CHARGED))
    return " ".join(filter(None, sentences)).format(total=_total(order))


def _refunds(order: Order) -> str:
    """Return how much of the payment is refunded, or on its way back."""
    amounts: dict[bool, Decimal] = {}
    for credit in order.credits.all():
        is_done = credit.state == Credit.State.REFUNDED
        amounts[is_done] = amounts.get(is_done, Decimal(0)) + credit.amount
    said = [(True, "{} was refunded to you."), (False, "Your refund of {} is on its way.")]
    return " ".join(
        text.format(f"{amounts[is_done]:,.2f} {order.currency}")
        for is_done, text in said
        if is_done in amounts
    )


def _why(journey: Journey) -> str:
    return REASONS.get(journey.reason, "") if _is_refused(journey) else ""


def _given_reason(journey: Journey) -> str:
    return "" if _why(journey) else reason_in_words(journey)


def _is_refused(journey: Journey) -> bool:
    return is_code(status=journey.status, outcome=journey.outcome)


def _total(order: Order) -> str:
    return f"{order.total_amount:,.2f} {order.currency}"


def _actions(order: Order, request: Request) -> list[Action]:
    effect = EFFECTS.get(Leg(order.journey.payment), NOTHING_CHARGED).format(total=_total(order))
    offered = panel.actions(order, request, offered=("cancel",))
    return [replace(action, label="Cancel order", effects=[effect]) for action in offered]


def _timeline(order: Order) -> list[Entry]:
    """Consecutive duplicates appear once."""
    shown = panel.entries(events_of(order.pk, limit=panel.MAX_EVENTS_SHOWN), order.currency, staff=False)
    once = [next(same) for _, same in groupby(shown, key=lambda entry: entry.text)]
    return [replace(entry, details=[]) for entry in once]
