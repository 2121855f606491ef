"""The board's panel of one order."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from rest_framework.request import Request
from rest_framework.views import APIView

from board.cards import card, needs_attention, what_it_waits_for
from iso.currencies import format_amount
from live.messages import sentence
from notifications import wording
from notifications.models import Notification
from orders.events import EventType
from orders.http import views
from orders.journal import events_of
from orders.legs import LEGS, NEED_APPROVAL, PATIENT_WAITS, events_of_states, read_states
from orders.models import Journey, Order, OrderEvent
from orders.operators.actions import OPERATIONS, previews
from orders.operators.explain import explain, is_at_rest
from orders.operators.runs import flower_url, latest_batch, runs_of
from orders.permissions import sees_all_orders
from orders.placing.origin import trace_url
from orders.refunding.extent import in_parts, refundable_of, state_of
from orders.reporting.wording import timeline
from orders.rules.leg_types import Mark
from orders.status import UNDER_WAY, Status
from payments.models import Transaction

MAX_EVENTS_SHOWN = 500

# The view that checks each operation's permission. Remedies come first.
OBEYED_BY: dict[str, type[APIView]] = {
    "process": views.ProcessOrder,
    "retry": views.RetryOrder,
    "complete": views.CompleteOrder,
    "cancel": views.CancelOrder,
    "refund": views.RefundOrder,
}
if NEED_APPROVAL:
    OBEYED_BY = {"approve": views.ApproveOrder} | OBEYED_BY


@dataclass(frozen=True, slots=True)
class LegShown:
    """A leg as an indicator with a label."""

    key: str
    name: str
    state: str
    words: str


@dataclass(frozen=True, slots=True)
class Entry:
    sequence: int
    at: datetime
    after: str
    text: str
    kind: str
    details: list[str]
    trouble: str


@dataclass(frozen=True, slots=True)
class Action:
    """A button: its URL and effect."""

    name: str
    label: str
    effects: list[str]
    needs_reason: bool
    path: str


def context_of(order: Order, request: Request) -> dict[str, Any]:
    user = request.user
    assert isinstance(user, User)
    explained = is_permitted(views.OrderExplanation, order, request)
    events = events_of(order.pk, limit=MAX_EVENTS_SHOWN)
    staff = sees_all_orders(user)
    sees_machinery = staff or settings.DEMO
    runs = runs_of(order) if sees_machinery else []
    return {
        "order": order,
        "journey": order.journey,
        "card": card(order),
        "refunds": state_of(order, refunded=in_parts(order.credits.all()), refundable=refundable_of(order)),
        "lines": list(order.lines.all()),
        "legs": legs_of(order),
        "timeline": entries(events, order.currency, staff=staff),
        "calls": calls_of(order),
        "notifications": Notification.objects.filter(order_id=order.pk).order_by("id"),
        "explanation": None if not explained or is_at_rest(order.journey) else explain(order),
        "consolation": "" if explained else consolation(order.journey),
        "actions": actions(order, request),
        "staff": staff,
        "sees_machinery": sees_machinery,
        "demo": settings.DEMO,
        "runs": runs,
        "flower_url": flower_url(latest_batch(order.journey, runs)) if sees_machinery else "",
        "trace_url": trace_url(next(iter(events), None)) if sees_machinery else "",
    }


def consolation(journey: Journey) -> str:
    """Return why a customer has to wait, if so; not for held orders."""
    if needs_attention(journey):
        return str(wording.PROBLEM)
    if journey.waiting_for in PATIENT_WAITS:
        return ""
    if not journey.is_held and journey.status in UNDER_WAY and what_it_waits_for(journey):
        return str(wording.DELAYED)
    return ""


def legs_of(order: Order) -> list[LegShown]:
    shown = zip(LEGS, read_states(order.journey), strict=True)
    return [LegShown(leg.name, leg.title, state.light, state.words) for leg, state in shown]


def entries(events: Sequence[OrderEvent], currency: str, *, staff: bool) -> list[Entry]:
    """Return the timeline; internals are for staff."""
    lines = zip(events, timeline(events), strict=True)
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
        for event, line in lines
    ]


def _text(event: OrderEvent, *, staff: bool) -> str:
    if staff and event.type == EventType.ATTENTION_NEEDED:
        return "Escalated to staff."
    return sentence(event.type, event.data)


# In the sentence already, or internal.
SAID, INTERNAL = {"reason", "outcome", "currency"}, {"request", "batch"}


def _details(event: OrderEvent, details: list[tuple[str, str]], currency: str, *, staff: bool) -> list[str]:
    if event.type == EventType.ATTENTION_NEEDED and not staff:
        return []
    left_out = SAID if staff else SAID | INTERNAL
    return [_detail(name, value, currency) for name, value in details if name not in left_out]


def _detail(name: str, value: str, currency: str) -> str:
    if name == "amount":
        return format_amount(Decimal(value), currency)
    return value if name == "why" else f"{name}: {value}"


def _after(seconds: float) -> str:
    if seconds < 1:
        return f"+{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"+{seconds:.1f} s"
    return f"+{seconds / 60:.0f} min" if seconds < 7200 else f"+{seconds / 3600:.1f} h"


BAD = {"capture_declined", "order_rejected", "refund_failed", "capture_failed"} | events_of_states(
    Mark.REFUSED
)
BACK = {
    "cancellation_started",
    "order_cancelled",
    "payment_arrived_late",
    "refund_requested",
    "refund_succeeded",
} | events_of_states(Mark.RELEASED)


def _kind(event_type: str) -> str:
    """Return an event's marker: good, bad, back (released, refunded), wait."""
    if event_type in (EventType.WAITING, EventType.ATTENTION_NEEDED):
        return "wait"
    if event_type in BACK:
        return "back"
    return "bad" if event_type in BAD else "good"


@dataclass(frozen=True, slots=True)
class Call:
    transaction: Transaction
    took: str


def calls_of(order: Order) -> list[Call]:
    rows = Transaction.objects.filter(order_id=order.pk).order_by("started_at", "number")
    return [Call(row, _took(row)) for row in rows]


def _took(row: Transaction) -> str:
    return _after((row.finished_at - row.started_at).total_seconds())[1:] if row.finished_at else "pending"


# --- Actions ----------------------------------------------------------------------------------------------


def actions(order: Order, request: Request, *, offered: Sequence[str] = tuple(OBEYED_BY)) -> list[Action]:
    """Return the operations the user may run that have an effect now."""
    allowed = [name for name in offered if is_permitted(OBEYED_BY[name], order, request)]
    shown = [(name, previews(OPERATIONS[name], [order])[0]) for name in allowed]
    useful = {name: preview.effects for name, preview in shown if preview.effects}
    if order.journey.status != Status.COMPLETED:
        useful.pop("refund", None)  # same as cancel here
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


def is_permitted(kind: type[APIView], order: Order, request: Request) -> bool:
    view = kind()
    return all(
        permission.has_permission(request, view) and permission.has_object_permission(request, view, order)
        for permission in view.get_permissions()
    )
