"""Live messages, one per journal event."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from orders.events import STATUS_AFTER, EventType
from orders.http.responses import status_name
from orders.journal import FeedEvent, Position
from orders.legs import LEGS, PAYMENT
from orders.models import Journey, Order, OrderEvent, order_number
from orders.reporting.wording import is_code
from orders.status import NOT_PAID_IN_TIME, Status

CREATED = "OrderCreated"
STATUS_UPDATED = "OrderStatusUpdated"
PROGRESSED = "OrderProcessingProgress"

RECORD_SEPARATOR = "\x1e"  # ends every record of SignalR's JSON protocol

# By plain strings: during a deploy, events of a newer release count as progress.
STATUS = {event.value: status_name(status) for event, status in STATUS_AFTER.items()}

OF_LEGS = {
    str(state.event): state.customer_text for leg in LEGS for state in leg.states.values() if state.event
}
SENTENCES: dict[str, str] = OF_LEGS | {
    EventType.PLACED: "The order was placed.",
    EventType.RELEASED: "The order was released for processing.",
    EventType.STARTED: "Processing started.",
    EventType.CAPTURE_DECLINED: "Payment could not be collected.",
    EventType.CONFIRMED: "The order is confirmed.",
    EventType.COMPLETION_REQUESTED: "The order will be completed as soon as it is confirmed.",
    EventType.COMPLETED: "The order is completed.",
    EventType.REFUND_REQUESTED: "A refund was requested.",
    EventType.REFUND_SUCCEEDED: "Part of the payment was refunded.",
    EventType.REFUND_FAILED: "A refund did not get through yet.",
    EventType.REFUND_SUPERSEDED: "A refund is part of the refund of the whole payment.",
    EventType.CAPTURE_REQUESTED: "Part of the payment is being collected.",
    EventType.CAPTURE_SUCCEEDED: "Part of the payment was collected.",
    EventType.CAPTURE_FAILED: "Part of the payment could not be collected.",
    EventType.AUTHORIZATION_EXPIRED: "The authorization of the payment has expired.",
    EventType.CANCELLATION_STARTED: "The order is being cancelled.",
    EventType.MONEY_RETURNED: "Payment returned.",
    EventType.PAYMENT_ARRIVED_LATE: "A late payment arrived; it is being returned.",
    EventType.CANCELLED: "The order is cancelled.",
    EventType.REJECTED: "The order was rejected.",
    EventType.WAITING: "The order is waiting and will be retried.",
    EventType.ATTENTION_NEEDED: "Our team is looking into the order.",
    EventType.RETRIED: "The order is being retried.",
}
# The link to complete a payment is never sent: it is its owner's alone.
WAITING: dict[str, str] = {
    PAYMENT.CUSTOMER: "The payment is waiting to be completed.",
    PAYMENT.BANK: "The payment is waiting for the bank.",
}
RETURNED = {state.code: state.customer_text for state in (PAYMENT.REFUNDED, PAYMENT.VOIDED)}


class Message:
    """A live message; encoded once for all sockets."""

    __slots__ = ("_body", "_invocation", "_plain", "order_id", "position", "sequence")

    def __init__(self, body: dict[str, Any], *, order_id: int, sequence: int, position: Position) -> None:
        self.order_id, self.sequence, self.position = order_id, sequence, position
        self._body = body
        self._plain = self._invocation = ""

    @classmethod
    def of_feed_event(cls, event: FeedEvent) -> Self:
        number = order_number(event.order_id, event.placed_at)
        return cls._of(event, number, event.position, event.customer_name)

    @classmethod
    def of_order_event(cls, event: OrderEvent, order: Order) -> Self:
        position = Position(event.transaction_id, event.order_id, event.sequence)
        return cls._of(event, order.number, position, order.customer_name)

    @classmethod
    def _of(cls, event: FeedEvent | OrderEvent, number: str, position: Position, customer: str) -> Self:
        body = _body(event, number, position)
        if event.type == EventType.PLACED:
            # Lets clients show a card at once.
            body["customerName"] = customer
            body |= {name: event.data[name] for name in ("amount", "currency", "held") if name in event.data}
        return cls(body, order_id=event.order_id, sequence=event.sequence, position=position)

    @property
    def body(self) -> dict[str, Any]:
        return self._body

    @property
    def plain(self) -> str:
        if not self._plain:
            self._plain = encode(self._body)
        return self._plain

    @property
    def invocation(self) -> str:
        """The message as a record of SignalR's JSON protocol."""
        if not self._invocation:
            self._invocation = invocation_of(self._body)
        return self._invocation


def _body(event: FeedEvent | OrderEvent, number: str, position: Position) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": _kind(event.type),
        "orderId": event.order_id,
        "orderNumber": number,
        "sequence": event.sequence,
        "position": str(position),
        "timestamp": event.at.astimezone(UTC),
        "event": event.type,
        "progress": event.progress,
        "message": sentence(event.type, event.data),
    }
    if event.type in STATUS:
        body["status"] = STATUS[event.type]
    if event.data.get("reason"):
        body["reason"] = event.data["reason"]
        if _has_code(event.type, event.data):
            body["reasonCode"] = event.data["reason"]
    return body


def _kind(event_type: str) -> str:
    if event_type == EventType.PLACED:
        return CREATED
    return STATUS_UPDATED if event_type in STATUS else PROGRESSED


def sentence(event_type: str, data: Mapping[str, Any]) -> str:
    text = RETURNED.get(data.get("how", "")) if event_type == EventType.MONEY_RETURNED else None
    text = text or WAITING.get(str(data.get("waiting_for", "")))
    text = text or SENTENCES.get(event_type, "The order made progress.")
    reason = str(data.get("reason") or "")
    if _has_code(event_type, data):
        reason = reason.replace("_", " ")
    return f"{text[:-1]}: {reason}." if reason and event_type in STATUS else text


def _has_code(event_type: str, data: Mapping[str, Any]) -> bool:
    """Reasons of cancellations and of refunds are free text, but for our own."""
    if data.get("reason") == NOT_PAID_IN_TIME:
        return True
    return (
        event_type not in (EventType.CANCELLED, EventType.REFUND_REQUESTED)
        and data.get("outcome") != Status.CANCELLED
    )


def snapshot(order: Order, *, progress: int, at: datetime) -> dict[str, Any]:
    """Return the order's state, a new socket's first message."""
    return {
        "type": "OrderSnapshot",
        "orderId": order.pk,
        "orderNumber": order.number,
        "status": status_name(order.journey.status),
        "sequence": order.journey.sequence,
        "progress": progress,
        "timestamp": at.astimezone(UTC),
        "placedAt": order.placed_at.astimezone(UTC),
    } | _reason_of(order.journey)


def _reason_of(journey: Journey) -> dict[str, str]:
    if not journey.reason:
        return {}
    has_code = is_code(status=journey.status, outcome=journey.outcome, reason=journey.reason)
    return {"reason": journey.reason} | ({"reasonCode": journey.reason} if has_code else {})


# Positional arguments; the whole message comes last.
ARGUMENTS = {
    CREATED: ("orderId",),
    STATUS_UPDATED: ("orderId", "status", "timestamp"),
    PROGRESSED: ("orderId", "progress", "message"),
}


def invocation_of(body: Mapping[str, Any]) -> str:
    """Return the SignalR record that invokes the client's method."""
    arguments = [*(body[name] for name in ARGUMENTS[body["type"]]), body]
    return encode({"type": 1, "target": body["type"], "arguments": arguments}) + RECORD_SEPARATOR


def encode(body: Mapping[str, Any]) -> str:
    """Return the JSON text. Times are UTC with a Z."""
    return msgspec.json.encode(body).decode()
