"""E-mail texts, from immutable facts only, so every attempt sends the same."""

import re
import unicodedata
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
    Kind.REJECTED: "We couldn't accept your order {number}",
    Kind.CANCELLED: "Your order {number} is cancelled",
    Kind.REFUNDED: "A refund for your order {number}",
}

# Rejections for customers. Typed reasons are quoted.
REASONS = {
    "out_of_stock": "Not everything you ordered is in stock.",
    "not_shippable": "We don't deliver to this address.",
    "card_declined": "Your bank declined the payment.",
    "insufficient_funds": "Your bank declined the payment: insufficient funds.",
    "expired_card": "Your card has expired.",
    "payment_declined": "The payment was declined.",
    "capture_declined": "The payment could not be completed.",
}

# An order may name anyone's address, so greetings must not carry links, numbers or messages.
LONGEST_NAME, MOST_WORDS = 60, 5
AROUND_LETTERS = " .,'\N{RIGHT SINGLE QUOTATION MARK}-"
# What mail programs link.
LINK = re.compile(r"://|www\.|@|\w[.\u3002\uff0e\uff61][^\W\d_]{2,}", re.IGNORECASE)

# Events quoted in mails.
QUOTED = (EventType.SHIPPING_QUOTED, EventType.MONEY_RETURNED, EventType.REFUND_SUCCEEDED)


@dataclass(frozen=True, slots=True)
class Mail:
    """A rendered e-mail."""

    to: str
    subject: str
    text: str
    html: str


def subject_of(notification: Notification) -> str:
    """Return the subject line."""
    return SUBJECTS[notification.kind].format(number=notification.order.number)


def name_to_greet(name: str) -> str:
    """Return a plausible name; empty if it may carry an address, link or message."""
    words = name.split()
    if not words or len(name) > LONGEST_NAME or len(words) > MOST_WORDS:
        return ""
    is_plain = all(unicodedata.category(char)[0] in "LM" or char in AROUND_LETTERS for char in name)
    # A dot inside a word makes a link.
    has_link = any("." in word.rstrip(".,") for word in words)
    return name if is_plain and not has_link else ""


def compose(notifications: Sequence[Notification]) -> list[Mail]:
    """Render the e-mails, in order. Orders must be loaded."""
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
    reason = str(event.data.get("reason") or "")
    if event.type != EventType.REJECTED:
        return reason
    return REASONS.get(reason, reason.replace("_", " "))


def _context(order: Order, lines: list[OrderLine], events: list[OrderEvent]) -> dict[str, Any]:
    data = {event.type: event.data for event in events}
    shipping = data.get(EventType.SHIPPING_QUOTED, {}).get("amount")
    reason = _reason(events[-1]) if events else ""
    total = order.goods_amount + Decimal(shipping or 0)
    parts = [Decimal(event.data["amount"]) for event in events if event.type == EventType.REFUND_SUCCEEDED]
    return {
        "order": order,
        "name": name_to_greet(order.customer_name),
        "lines": lines,
        "shipping": Decimal(shipping) if shipping is not None else None,
        "total": total,
        "part": parts[-1] if parts else None,
        "rest": total - sum(parts),
        "reason": "" if LINK.search(reason) else reason,
        "refunded": data.get(EventType.MONEY_RETURNED, {}).get("how") == Leg.REFUNDED,
    }
