"""The types of an order's events. Names are a contract with clients and with journals of other releases."""

from enum import StrEnum

from orders.status import Status


class EventType(StrEnum):
    """Types of events."""

    PLACED = "order_placed"
    RELEASED = "order_released"  # from hold
    STARTED = "processing_started"
    STOCK_RESERVED = "stock_reserved"
    STOCK_REFUSED = "stock_refused"
    SHIPPING_QUOTED = "shipping_quoted"
    SHIPPING_REFUSED = "shipping_refused"
    PAYMENT_AUTHORIZED = "payment_authorized"
    PAYMENT_NOT_NEEDED = "payment_not_needed"  # the total is 0
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_CAPTURED = "payment_captured"
    CAPTURE_DECLINED = "capture_declined"
    CONFIRMED = "order_confirmed"
    COMPLETION_REQUESTED = "completion_requested"
    COMPLETED = "order_completed"
    CAPTURE_REQUESTED = "capture_requested"  # by staff, of a part of what is authorized
    CAPTURE_SUCCEEDED = "capture_succeeded"
    CAPTURE_FAILED = "capture_failed"
    AUTHORIZATION_EXPIRED = "authorization_expired"  # what is not captured is held no more
    REFUND_REQUESTED = "refund_requested"  # a part of the order's money
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_FAILED = "refund_failed"
    REFUND_SUPERSEDED = "refund_superseded"  # by the reversal of the whole payment
    CANCELLATION_STARTED = "cancellation_started"
    STOCK_RELEASED = "stock_released"
    MONEY_RETURNED = "money_returned"
    PAYMENT_ARRIVED_LATE = "payment_arrived_late"
    CANCELLED = "order_cancelled"
    REJECTED = "order_rejected"
    WAITING = "order_waiting"
    ATTENTION_NEEDED = "attention_needed"
    RETRIED = "order_retried"


# Other events leave the status. Also looked up by plain text: the journal may have types of a newer release.
STATUS_AFTER: dict[EventType, Status] = {
    EventType.PLACED: Status.PENDING,
    EventType.STARTED: Status.PROCESSING,
    EventType.CONFIRMED: Status.CONFIRMED,
    EventType.COMPLETED: Status.COMPLETED,
    EventType.CANCELLATION_STARTED: Status.CANCELLING,
    EventType.PAYMENT_ARRIVED_LATE: Status.CANCELLING,
    EventType.CANCELLED: Status.CANCELLED,
    EventType.REJECTED: Status.REJECTED,
}

# Do not reset `attempts`.
NO_PROGRESS = frozenset({EventType.WAITING, EventType.ATTENTION_NEEDED})
