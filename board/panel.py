"""Everything about one order, told to whoever may see it: the board's panel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from rest_framework.request import Request
from rest_framework.views import APIView

from board.cards import card, needs_attention, what_it_waits_for
from live.messages import sentence
from notifications.models import Notification
from orders.http import views
from orders.journal import events_of
from orders.log_context import trace_url
from orders.models import Journey, Order, OrderEvent
from orders.operators.actions import OPERATIONS, previews
from orders.operators.explain import explain, is_at_rest
from orders.operators.runs import flower_url, latest_batch, runs_of
from orders.operators.wording import timeline
from orders.workflow import UNDER_WAY, EventType, Leg, Status
from payments.models import Transaction

MAX_EVENTS_SHOWN = 500

# Which view obeys which operation: it knows who may ask for it. What helps an order that is stuck comes first.
OBEYED_BY: dict[str, type[APIView]] = {
    "process": views.ProcessOrder,
    "retry": views.RetryOrder,
    "complete": views.CompleteOrder,
    "cancel": views.CancelOrder,
    "refund": views.RefundOrder,
}

DONE, REFUSED, RETURNED, OPEN = "done", "refused", "returned", "open"
STATE_OF_LEG = {
    Leg.RESERVED: DONE,
    Leg.SOLD: DONE,
    Leg.QUOTED: DONE,
    Leg.AUTHORIZED: "held",
    Leg.CAPTURED: DONE,
    Leg.REFUSED: REFUSED,
    Leg.RELEASED: RETURNED,
    Leg.VOIDED: RETURNED,
    Leg.REFUNDED: RETURNED,
    Leg.NOT_NEEDED: RETURNED,
    Leg.PENDING: OPEN,
}
WORDS_FOR_LEG = {
    ("stock", Leg.PENDING): "not reserved yet",
    ("stock", Leg.RESERVED): "every item is reserved",
    ("stock", Leg.REFUSED): "not all of it is in stock",
    ("stock", Leg.RELEASED): "the items went back on the shelf",
    ("stock", Leg.SOLD): "handed over",
    ("shipping", Leg.PENDING): "not quoted yet",
    ("shipping", Leg.QUOTED): "the price is settled",
    ("shipping", Leg.REFUSED): "no delivery to this address",
    ("payment", Leg.PENDING): "nothing taken yet",
    ("payment", Leg.AUTHORIZED): "the amount is held on the card",
    ("payment", Leg.CAPTURED): "paid",
    ("payment", Leg.REFUSED): "declined",
    ("payment", Leg.VOIDED): "the hold on the card was let go",
    ("payment", Leg.REFUNDED): "the money went back",
    ("payment", Leg.NOT_NEEDED): "nothing had been taken",
}
LEG_NAMES = {"stock": "Stock", "shipping": "Shipping", "payment": "Payment"}


@dataclass(frozen=True, slots=True)
class LegShown:
    """A leg as a light with words."""

    key: str
    name: str
    state: str
    words: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the timeline."""

    sequence: int
    at: datetime
    after: str
    text: str
    kind: str
    details: list[str]
    trouble: str


@dataclass(frozen=True, slots=True)
class Action:
    """A button: where it leads, and what it would bring."""

    name: str
    label: str
    effects: list[str]
    needs_reason: bool
    path: str


def context_of(order: Order, request: Request) -> dict[str, Any]:
    """Return what the panel shows of an order to whoever is asking."""
    user = request.user
    assert isinstance(user, User)
    explained = may_be_told(views.OrderExplanation, order, request)
    events = events_of(order.pk, limit=MAX_EVENTS_SHOWN)
    sees_machinery = user.is_staff or settings.DEMO
    runs = runs_of(order) if sees_machinery else []
    return {
        "order": order,
        "journey": order.journey,
        "card": card(order),
        "lines": list(order.lines.all()),
        "legs": legs_of(order),
        "timeline": entries(events, order.currency, staff=user.is_staff),
        "calls": calls_of(order),
        "notifications": Notification.objects.filter(order_id=order.pk).order_by("id"),
        "explanation": None if not explained or is_at_rest(order.journey) else explain(order),
        "consolation": "" if explained else consolation(order.journey),
        "actions": actions(order, request),
        "staff": user.is_staff,
        "sees_machinery": sees_machinery,
        "demo": settings.DEMO,
        "runs": runs,
        "flower_url": flower_url(latest_batch(order.journey, runs)) if sees_machinery else "",
        "trace_url": trace_url(next(iter(events), None)) if sees_machinery else "",
    }


def consolation(journey: Journey) -> str:
    """Return why a customer has to wait; nothing if they do not, or if it is on hold."""
    if needs_attention(journey):
        return "Something is not as it should be. Our staff is looking into it; you need not do anything."
    is_held = journey.status == Status.PENDING and journey.due_at is None
    if not is_held and journey.status in UNDER_WAY and what_it_waits_for(journey):
        return "This takes longer than usual. It goes on by itself, and nothing is charged twice."
    return ""


def legs_of(order: Order) -> list[LegShown]:
    """Return the three legs of an order's journey."""
    return [_leg(name, Leg(getattr(order.journey, name))) for name in LEG_NAMES]


def _leg(name: str, leg: Leg) -> LegShown:
    return LegShown(name, LEG_NAMES[name], STATE_OF_LEG[leg], WORDS_FOR_LEG.get((name, leg), leg.value))


def entries(events: Sequence[OrderEvent], currency: str, *, staff: bool) -> list[Entry]:
    """Return the timeline. What is for operators' eyes, such as a traceback, stays out for others."""
    told = zip(events, timeline(events), strict=True)
    return [
        Entry(
            sequence=event.sequence,
            at=event.at,
            after=_after(line.seconds),
            text=_text(event, staff=staff),
            kind=_kind(event.type),
            details=_details(event, line.details, currency, staff=staff),
            trouble=line.trouble if staff else "",
        )
        for event, line in told
    ]


def _text(event: OrderEvent, *, staff: bool) -> str:
    if staff and event.type == EventType.ATTENTION_NEEDED:
        return "It was put before a person."  # who is that person, and not told that somebody is
    return sentence(event.type, event.data)


# The sentence says these already, and those are for operators.
SAID, INTERNAL = {"reason", "outcome", "currency"}, {"request", "batch"}


def _details(event: OrderEvent, details: list[tuple[str, str]], currency: str, *, staff: bool) -> list[str]:
    """Return what there is to say beyond the sentence."""
    if event.type == EventType.ATTENTION_NEEDED and not staff:
        return []
    left_out = SAID if staff else SAID | INTERNAL
    return [_detail(name, value, currency) for name, value in details if name not in left_out]


def _detail(name: str, value: str, currency: str) -> str:
    if name == "amount":
        return f"{value} {currency}"
    return value if name == "why" else f"{name}: {value}"


def _after(seconds: float) -> str:
    if seconds < 1:
        return f"+{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"+{seconds:.1f} s"
    return f"+{seconds / 60:.0f} min" if seconds < 7200 else f"+{seconds / 3600:.1f} h"


BAD = {"refused", "declined", "rejected"}
BACK = {"cancellation_started", "stock_released", "money_returned", "order_cancelled", "payment_arrived_late"}


def _kind(event_type: str) -> str:
    """Return how an event is marked: good, bad, something given back, or a wait."""
    if event_type in (EventType.WAITING, EventType.ATTENTION_NEEDED):
        return "wait"
    if event_type in BACK:
        return "back"
    return "bad" if event_type.rsplit("_", 1)[-1] in BAD else "good"


@dataclass(frozen=True, slots=True)
class Call:
    """A call to the payment provider, and how long its outcome took."""

    transaction: Transaction
    took: str


def calls_of(order: Order) -> list[Call]:
    """Return what the payment provider was asked for an order."""
    rows = Transaction.objects.filter(order_id=order.pk).order_by("started_at", "kind")
    return [Call(row, _took(row)) for row in rows]


def _took(row: Transaction) -> str:
    return _after((row.finished_at - row.started_at).total_seconds())[1:] if row.finished_at else "still open"


# --- What may be done -------------------------------------------------------------------------------------


def actions(order: Order, request: Request, *, offered: Sequence[str] = tuple(OBEYED_BY)) -> list[Action]:
    """Return what this user may do to the order and what would have an effect now, with that effect."""
    allowed = [name for name in offered if may_be_told(OBEYED_BY[name], order, request)]
    shown = [(name, previews(OPERATIONS[name], [order])[0]) for name in allowed]
    useful = {name: preview.effects for name, preview in shown if preview.effects}
    if order.journey.status != Status.COMPLETED:
        useful.pop("refund", None)  # the same as to cancel it
    return [
        Action(
            name=name,
            label=OPERATIONS[name].label,
            effects=[str(effect) for effect in effects],
            needs_reason=OPERATIONS[name].needs_reason,
            path=f"/api/orders/{order.pk}/{name}",
        )
        for name, effects in useful.items()
    ]


def may_be_told(kind: type[APIView], order: Order, request: Request) -> bool:
    """Return whether a view of the API would answer this user about the order."""
    view = kind()
    return all(
        permission.has_permission(request, view) and permission.has_object_permission(request, view, order)
        for permission in view.get_permissions()
    )
