"""What customers read about their order: what happens, what it means for their money, and what they may do."""

from dataclasses import replace
from itertools import groupby
from typing import Any

from rest_framework.request import Request

from board import panel
from board.cards import card
from board.panel import Action, Entry
from notifications.mail import REASONS
from orders.journal import events_of
from orders.models import Journey, Order
from orders.workflow import Leg, Status

HEADLINES = {
    Status.PENDING: "We have your order",
    Status.PROCESSING: "We are working on it",
    Status.CONFIRMED: "Your order is confirmed",
    Status.COMPLETED: "Your order was handed over",
    Status.CANCELLING: "Your order is being called off",
    Status.CANCELLED: "Your order is cancelled",
    Status.REJECTED: "We could not take your order",
}
STORIES = {
    Status.PROCESSING: "We set the items aside, settle the shipping and ask for the payment. It takes a moment.",
    Status.CONFIRMED: "The items are set aside for you and {total} is paid. The next step is to hand it over.",
    Status.COMPLETED: "The items are yours and {total} is paid. Thank you.",
    Status.CANCELLING: "What was set aside for you goes back on the shelf.",
}
HELD = "It is on hold: nothing is set aside or charged before it is started."
NEXT_IN_LINE = "It is next in line. Nothing has been charged so far."

MONEY_ON_ITS_WAY = {
    Leg.CAPTURED: "The {total} that you paid is on its way back to you.",
    Leg.AUTHORIZED: "The {total} held on your card is being released.",
    Leg.PENDING: "If anything is charged meanwhile, it goes back to you.",
}
MONEY_AT_THE_END = {
    Leg.REFUNDED: "The {total} that you paid went back to you.",
    Leg.VOIDED: "The {total} held on your card was released. You were not charged.",
}
NOT_CHARGED = "You were not charged."

EFFECTS = {
    Leg.CAPTURED: "You get {total} back.",
    Leg.AUTHORIZED: "The {total} held on your card is released.",
}
NOTHING_CHARGED = "Nothing has been charged so far."

LEG_NAMES = {"stock": "Items", "shipping": "Delivery", "payment": "Payment"}


def context_of(order: Order, request: Request) -> dict[str, Any]:
    """Return what the page of an order shows to its customer, whoever looks at it."""
    return {
        "order": order,
        "journey": order.journey,
        "card": card(order),
        "lines": list(order.lines.all()),
        "headline": HEADLINES[Status(order.journey.status)],
        "story": story(order),
        "given_reason": "" if order.journey.reason in REASONS else order.journey.reason.replace("_", " "),
        "consolation": panel.consolation(order.journey),
        "legs": [replace(leg, name=LEG_NAMES[leg.key]) for leg in panel.legs_of(order)],
        "actions": _actions(order, request),
        "timeline": _timeline(order),
    }


def story(order: Order) -> str:
    """Return in a few sentences where an order stands, why, and where its money is."""
    journey = order.journey
    status, payment = Status(journey.status), Leg(journey.payment)
    if status is Status.PENDING:
        return HELD if journey.due_at is None else NEXT_IN_LINE
    sentences = [_why(journey), STORIES.get(status, "")]
    if status is Status.CANCELLING:
        sentences.append(MONEY_ON_ITS_WAY.get(payment, ""))
    elif status in (Status.CANCELLED, Status.REJECTED):
        sentences.append(MONEY_AT_THE_END.get(payment, NOT_CHARGED))
    return " ".join(filter(None, sentences)).format(total=_total(order))


def _why(journey: Journey) -> str:
    """Return why an order was refused. What a person gave as the reason stands beside the status as it is."""
    return REASONS.get(journey.reason, "")


def _total(order: Order) -> str:
    return f"{order.total_amount} {order.currency}"


def _actions(order: Order, request: Request) -> list[Action]:
    effect = EFFECTS.get(Leg(order.journey.payment), NOTHING_CHARGED).format(total=_total(order))
    offered = panel.actions(order, request, offered=("cancel",))
    return [replace(action, label="Cancel the order", effects=[effect]) for action in offered]


def _timeline(order: Order) -> list[Entry]:
    """Return what happened, without figures; what is said again and again is said once."""
    told = panel.entries(events_of(order.pk, limit=panel.MAX_EVENTS_SHOWN), order.currency, staff=False)
    once = [next(same) for _, same in groupby(told, key=lambda entry: entry.text)]
    return [replace(entry, details=[]) for entry in once]
