"""The words of an e-mail. They depend on nothing that can still change, so that each try says the same."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.template.loader import render_to_string

from notifications.models import Kind, Notification
from orders.models import Order, OrderEvent, OrderLine
from orders.workflow import EventType, Leg

SUBJECTS: dict[str, str] = {
    Kind.CONFIRMED: "Your order {number} is confirmed",
    Kind.REJECTED: "We could not accept your order {number}",
    Kind.CANCELLED: "Your order {number} is cancelled",
}

# Why, as one would say it to a customer. Reasons that a person typed are repeated as they are.
REASONS = {
    "out_of_stock": "Not everything you ordered is in stock.",
    "not_shippable": "We do not deliver to this address.",
    "card_declined": "Your bank declined the payment.",
    "insufficient_funds": "Your bank declined the payment: there are not enough funds.",
    "expired_card": "The card has expired.",
    "payment_declined": "The payment was declined.",
    "capture_declined": "The payment could not be completed.",
}

# The events that a mail quotes: what shipping costs, what became of the money.
QUOTED = (EventType.SHIPPING_QUOTED, EventType.MONEY_RETURNED)


@dataclass(frozen=True, slots=True)
class Mail:
    """An e-mail, ready to go."""

    to: str
    subject: str
    text: str
    html: str


def subject_of(notification: Notification) -> str:
    """Return the subject line."""
    return SUBJECTS[notification.kind].format(number=notification.order.number)


def compose(notifications: Sequence[Notification]) -> list[Mail]:
    """Return the e-mails of notifications whose orders are loaded, in the same order."""
    order_ids = [notification.order_id for notification in notifications]
    lines: defaultdict[int, list[OrderLine]] = defaultdict(list)
    for line in OrderLine.objects.filter(order_id__in=order_ids).order_by("order_id", "product_id"):
        lines[line.order_id].append(line)
    events: defaultdict[int, list[OrderEvent]] = defaultdict(list)
    wanted = (*QUOTED, EventType.CONFIRMED, EventType.REJECTED, EventType.CANCELLED)
    found = OrderEvent.objects.filter(order_id__in=order_ids, type__in=wanted)
    for event in found.order_by("order_id", "sequence"):
        events[event.order_id].append(event)
    return [_compose(n, lines[n.order_id], events[n.order_id]) for n in notifications]


def _compose(notification: Notification, lines: list[OrderLine], events: list[OrderEvent]) -> Mail:
    order = notification.order
    context = _context(order, lines, [e for e in events if e.sequence <= notification.sequence])
    return Mail(
        to=notification.recipient,
        subject=subject_of(notification),
        text=render_to_string(f"notifications/{notification.kind}.txt", context),
        html=render_to_string(f"notifications/{notification.kind}.html", context),
    )


def _reason(event: OrderEvent) -> str:
    """Return why an order was refused, in words, or cancelled, as a person typed it."""
    reason = str(event.data.get("reason") or "")
    if event.type != EventType.REJECTED:
        return reason
    return REASONS.get(reason, reason.replace("_", " "))


def _context(order: Order, lines: list[OrderLine], events: list[OrderEvent]) -> dict[str, Any]:
    """Return what the templates may say, from the events up to the one that is told."""
    data = {event.type: event.data for event in events}
    shipping = data.get(EventType.SHIPPING_QUOTED, {}).get("amount")
    reason = _reason(events[-1]) if events else ""
    return {
        "order": order,
        "lines": lines,
        "shipping": Decimal(shipping) if shipping is not None else None,
        "total": order.goods_amount + Decimal(shipping or 0),
        "reason": reason,
        "refunded": data.get(EventType.MONEY_RETURNED, {}).get("how") == Leg.REFUNDED,
    }
