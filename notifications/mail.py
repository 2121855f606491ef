"""E-mail texts, from immutable facts only, so every attempt sends the same."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import format_html

from notifications import formats
from notifications.kinds import KINDS
from notifications.languages import language_of
from notifications.models import Notification
from notifications.shop import shop
from notifications.wording import CHARGED, NOT_CHARGED, REASONS
from orders.events import EventType
from orders.http.links import track_link
from orders.legs import PAYMENT
from orders.models import Order, OrderEvent, OrderLine
from orders.payment.captures import charged_amount
from orders.status import NOT_PAID_IN_TIME

# An order may name anyone's address, so greetings must not carry links, numbers or messages.
LONGEST_NAME, MOST_WORDS = 60, 5
AROUND_LETTERS = " .,'\N{RIGHT SINGLE QUOTATION MARK}-"

# With the codes of the payment provider, which are for staff: a card that was stolen is not called that.
DECLINED = (EventType.PAYMENT_DECLINED, EventType.CAPTURE_DECLINED)
# Events quoted in mails.
QUOTED = (
    *DECLINED,
    EventType.SHIPPING_QUOTED,
    EventType.CAPTURE_REQUESTED,
    EventType.CAPTURE_SUCCEEDED,
    EventType.AUTHORIZATION_EXPIRED,
    EventType.MONEY_RETURNED,
    EventType.REFUND_SUCCEEDED,
)


@dataclass(frozen=True, slots=True)
class Mail:
    to: str
    subject: str
    text: str
    html: str


def subject_of(notification: Notification) -> str:
    with translation.override(language_of(notification.order)):
        return _subject(notification, {"order": notification.order, "shop": shop()})


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
    """Render the e-mails, each in its order's language. Orders must be loaded."""
    order_ids = [notification.order_id for notification in notifications]
    lines: defaultdict[int, list[OrderLine]] = defaultdict(list)
    for line in OrderLine.objects.filter(order_id__in=order_ids).order_by("order_id", "product_id", "number"):
        lines[line.order_id].append(line)
    events: defaultdict[int, list[OrderEvent]] = defaultdict(list)
    found = OrderEvent.objects.filter(order_id__in=order_ids, type__in=(*QUOTED, *KINDS))
    for event in found.order_by("order_id", "sequence"):
        events[event.order_id].append(event)
    return [_compose(n, lines[n.order_id], events[n.order_id]) for n in notifications]


def _compose(notification: Notification, lines: list[OrderLine], events: list[OrderEvent]) -> Mail:
    with translation.override(language_of(notification.order)):
        return _render(notification, lines, events)


def _render(notification: Notification, lines: list[OrderLine], events: list[OrderEvent]) -> Mail:
    context = _context(notification.order, lines, [e for e in events if e.sequence <= notification.sequence])
    return Mail(
        to=notification.recipient,
        subject=_subject(notification, context),
        text=_without_gaps(render_to_string(f"notifications/{notification.kind}.txt", context)),
        html=render_to_string(f"notifications/{notification.kind}.html", context),
    )


def _without_gaps(text: str) -> str:
    return re.sub(r"\n\s*\n", "\n\n", text).strip() + "\n"


def _subject(notification: Notification, context: dict[str, Any]) -> str:
    """Return one line, whatever the template has."""
    return " ".join(render_to_string(f"notifications/{notification.kind}_subject.txt", context).split())


def _reason(event: OrderEvent, data: Mapping[str, Any]) -> str:
    reason = str(event.data.get("reason") or "")
    if event.type != EventType.REJECTED and reason != NOT_PAID_IN_TIME:
        return reason
    of_provider = (
        REASONS[declined] for declined in DECLINED if data.get(declined, {}).get("reason") == reason
    )
    return str(REASONS.get(reason) or next(of_provider, reason.replace("_", " ")))


def _context(order: Order, lines: list[OrderLine], events: list[OrderEvent]) -> dict[str, Any]:
    data = {event.type: event.data for event in events}
    quoted = data.get(EventType.SHIPPING_QUOTED, {}).get("amount")
    shipping = Decimal(quoted) if quoted is not None else None
    reason = _reason(events[-1], data) if events else ""
    total = order.goods_amount + order.adjustment_amount + (shipping or 0)
    parts = [Decimal(event.data["amount"]) for event in events if event.type == EventType.REFUND_SUCCEEDED]
    # Of an order that staff captured, perhaps not all was charged.
    charged = charged_amount(order) if EventType.CAPTURE_REQUESTED in data else total
    return {
        "order": order,
        # In HTML: a line must not break at its hyphens.
        "number": format_html('<span style="white-space: nowrap">{}</span>', order.number),
        "reference": order.external_reference,
        "metadata": order.metadata,
        "shop": shop(),
        "language": translation.get_language(),
        "name": name_to_greet(order.customer_name),
        "lines": [
            {
                "quantity": line.quantity,
                "name": line.product_name,
                "amount": _money(line.amount, order),
                "properties": line.properties or {},
                "adjustments": formats.adjustments(order, place),
            }
            for place, line in enumerate(lines, start=1)
        ],
        "adjustments": formats.adjustments(order),
        "goods": _money(order.goods_amount, order),
        "without_shipping": _money(order.goods_amount + order.adjustment_amount, order),
        "shipping": None if shipping is None else _money(shipping, order),
        "total": _money(total, order),
        "free": shipping is not None and not total,
        "part": _money(parts[-1], order) if parts else "",
        "rest": _money(charged - sum(parts), order),
        "charged": _charged(order, events) if EventType.AUTHORIZATION_EXPIRED in data else "",
        "captured_later": data.get(EventType.CONFIRMED, {}).get("capture") == "later",
        "address": formats.address_lines(order),
        "reason": "" if formats.LINK.search(reason) else reason,
        "refunded": data.get(EventType.MONEY_RETURNED, {}).get("how") == PAYMENT.REFUNDED,
        # Without PUBLIC_URL the link would be relative.
        "track_url": _track_url(order),
    }


def _charged(order: Order, events: list[OrderEvent]) -> str:
    """Return how much was charged of an order whose authorization has expired."""
    captured = (Decimal(e.data["amount"]) for e in events if e.type == EventType.CAPTURE_SUCCEEDED)
    amount = sum(captured, Decimal(0))
    return str(CHARGED if amount else NOT_CHARGED).format(total=_money(amount, order))


def _track_url(order: Order) -> str:
    link = track_link(order.pk, order.placed_at, order.link_version)
    return link if settings.PUBLIC_URL else ""


def _money(amount: Decimal, order: Order) -> str:
    return formats.money(amount, order.currency)
