"""The customer's order page: status, payment, steps, address, options."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from board.cards import card
from board.panel import consolation
from notifications import formats, wording
from notifications.shop import shop
from orders.events import EventType
from orders.legs import PAYMENT, STOCK, read_states
from orders.models import Journey, Order, OrderEvent
from orders.operators.actions import OPERATIONS, previews
from orders.payment.captures import captured_amount, charged_amount
from orders.refunding.extent import in_parts, refundable_of, state_of
from orders.reporting.wording import is_code, reason_in_words
from orders.status import Status
from payments import ledger

DONE, NOW, NEXT, STOPPED = "done", "now", "next", "stopped"


@dataclass(frozen=True, slots=True)
class Step:
    """A step of an order's story. `at` is None until it is reached."""

    text: str
    state: str
    at: datetime | None = None
    moment: str = ""


def context_of(order: Order) -> dict[str, Any]:
    return {
        "order": order,
        "journey": order.journey,
        "card": card(order),
        "status": wording.STATUSES[Status(order.journey.status)],
        "lines": [_line(line, order, place) for place, line in enumerate(order.lines.all(), start=1)],
        "adjustments": formats.adjustments(order),
        "shipping": _money(order.journey.shipping_amount, order),
        "total": _money(order.total_amount, order),
        "headline": headline(order.journey),
        "refunds": wording.REFUNDS.get(
            state_of(order, refunded=in_parts(order.credits.all()), refundable=refundable_of(order))
        ),
        "story": story(order),
        "given_reason": _given_reason(order.journey),
        "consolation": consolation(order.journey),
        "payment_action": _payment_action(order),
        "steps": steps(order),
        "is_working": order.journey.status in (Status.PROCESSING, Status.CANCELLING),
        "placed": formats.moment(order.placed_at),
        "address": formats.address_lines(order),
        "effect": effect_of_cancelling(order),
        "shop": shop(),
    }


def headline(journey: Journey) -> str:
    if journey.status == Status.CANCELLED and journey.payment == PAYMENT.REFUNDED:
        return str(wording.CANCELLED_AND_REFUNDED)
    return str(wording.HEADLINES[Status(journey.status)])


def story(order: Order) -> str:
    journey = order.journey
    status, payment = Status(journey.status), journey.payment
    if status is Status.PENDING:
        return str(wording.HELD if journey.due_at is None else wording.NEXT_IN_LINE)
    if status is Status.PROCESSING and journey.stock == STOCK.SHORT:
        return str(wording.IN_THE_QUEUE)
    if status is Status.PROCESSING and journey.waiting_for in wording.UNDECIDED:
        return str(wording.UNDECIDED[journey.waiting_for]).format(total=_total(order))
    stories = wording.STORIES
    if payment == PAYMENT.FREE:
        stories = stories | wording.FREE_STORIES
    elif payment in (PAYMENT.HELD, PAYMENT.MOVING):
        stories = stories | wording.AUTHORIZED_STORIES
    elif payment == PAYMENT.EXPIRED:
        stories = stories | wording.EXPIRED_STORIES
    sentences = [_why(journey), stories.get(status, "")]
    if status in (Status.CONFIRMED, Status.COMPLETED):
        sentences += [_charged(order), _refunds(order)]
    elif status is Status.CANCELLING:
        sentences.append(str(wording.MONEY_ON_ITS_WAY.get(payment, "")).format(total=_left(order)))
    elif status in (Status.CANCELLED, Status.REJECTED):
        at_the_end = str(wording.MONEY_AT_THE_END.get(payment, wording.NOT_CHARGED))
        charged = charged_amount(order) if payment == PAYMENT.REFUNDED else order.total_amount
        sentences.append(at_the_end.format(total=_money(charged, order)))
    return " ".join(filter(None, map(str, sentences))).format(total=_total(order))


def effect_of_cancelling(order: Order) -> str:
    """Return what cancelling does with the payment; empty if the order cannot be cancelled."""
    if not previews(OPERATIONS["cancel"], [order])[0].effects:
        return ""
    text, payment = wording.EFFECTS.get(order.journey.payment, wording.NOTHING_CHARGED), order.journey.payment
    if payment == PAYMENT.EXPIRED and not captured_amount(order):
        text = wording.NOTHING_CHARGED
    return str(text).format(total=_left(order))


def _charged(order: Order) -> str:
    """Return how much was charged if the rest is held no more; empty for others."""
    if order.journey.payment != PAYMENT.EXPIRED:
        return ""
    captured = captured_amount(order)
    return str(wording.CHARGED if captured else wording.NOT_CHARGED).format(total=_money(captured, order))


def _refunds(order: Order) -> str:
    """Return how much of the payment is refunded, or on its way back."""
    credits_ = list(order.credits.all())
    refunded = in_parts(credits_)
    to_come = sum((credit.amount for credit in credits_), Decimal(0)) - refunded
    texts = ((wording.PARTS_REFUNDED, refunded), (wording.PARTS_ON_THEIR_WAY, to_come))
    return " ".join(str(text).format(total=_money(amount, order)) for text, amount in texts if amount)


def _left(order: Order) -> str:
    is_expired = order.journey.payment == PAYMENT.EXPIRED
    charged = captured_amount(order) if is_expired else order.total_amount
    return formats.money(charged - in_parts(order.credits.all()), order.currency)


def _why(journey: Journey) -> str:
    """Return why an order was refused. The payment provider's own codes are for staff."""
    if not journey.reason or not _is_refused(journey):
        return ""
    known, of_provider = wording.REASONS.get(journey.reason), ""
    if journey.payment == PAYMENT.REFUSED:
        of_provider = EventType.PAYMENT_DECLINED
    elif not any(state.is_refused for state in read_states(journey)):
        of_provider = EventType.CAPTURE_DECLINED
    return str(known or wording.REASONS.get(of_provider, ""))


def _given_reason(journey: Journey) -> str:
    return "" if _why(journey) else reason_in_words(journey)


def _is_refused(journey: Journey) -> bool:
    return is_code(status=journey.status, outcome=journey.outcome, reason=journey.reason)


def _total(order: Order) -> str:
    return formats.money(order.total_amount, order.currency)


def _money(amount: Any, order: Order) -> str:
    return _("not calculated yet") if amount is None else formats.money(amount, order.currency)


def _payment_action(order: Order) -> dict[str, Any] | None:
    """Return what the customer has to do to complete the payment, on this page alone."""
    if order.journey.status != Status.PROCESSING or order.journey.waiting_for != PAYMENT.CUSTOMER:
        return None
    action = ledger.next_action(ledger.entries_of([order.pk]).get(order.pk, []))
    if action is None:
        return None
    until = action.get("payBy")
    return {
        "url": action.get("url", ""),
        "until": formats.moment(datetime.fromisoformat(until)) if until else "",
    }


def _line(line: Any, order: Order, place: int) -> dict[str, Any]:
    return {
        "name": line.product_name,
        "quantity": line.quantity,
        "amount": formats.money(line.amount, order.currency),
        "adjustments": formats.adjustments(order, place),
    }


# --- The story in steps -----------------------------------------------------------------------------------

# The event that reaches each step.
REACHED_BY = {
    EventType.CONFIRMED: "confirmed",
    EventType.COMPLETED: "shipped",
    EventType.CANCELLED: "cancelled",
    EventType.REJECTED: "rejected",
    EventType.MONEY_RETURNED: "refunded",
}
ENDS = {Status.CANCELLING: "cancelled", Status.CANCELLED: "cancelled", Status.REJECTED: "rejected"}


def steps(order: Order) -> list[Step]:
    """Return the few steps that matter to a customer, those to come included."""
    reached = _reached(order)
    names = ["received", "confirmed", "shipped"]
    if end := ENDS.get(Status(order.journey.status)):
        names = [name for name in names if name in reached] + [end]
        if order.journey.payment in (
            PAYMENT.CAPTURED,
            PAYMENT.REFUNDING,
            PAYMENT.MOVING,
            PAYMENT.REFUNDED,
        ):
            names.append("refunded")
    ongoing = next((name for name in names if name not in reached), "")
    return [_step(name, reached.get(name), is_now=name == ongoing) for name in names]


def _reached(order: Order) -> dict[str, datetime]:
    found = OrderEvent.objects.filter(order_id=order.pk, type__in=REACHED_BY).order_by("sequence")
    reached = {"received": order.placed_at}
    for event in found:
        if event.type != EventType.MONEY_RETURNED or event.data.get("how") == PAYMENT.REFUNDED:
            reached[REACHED_BY[EventType(event.type)]] = event.at
    return reached


def _step(name: str, at: datetime | None, *, is_now: bool) -> Step:
    text = str(wording.STEPS[name])
    if at is None:
        return Step(text, NOW if is_now else NEXT)
    return Step(text, STOPPED if name in ("cancelled", "rejected") else DONE, at, formats.moment(at))
