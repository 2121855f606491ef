"""An order's status and its legal transitions."""

from enum import StrEnum


class Status(StrEnum):
    """An order's status."""

    PENDING = "pending"  # held or due
    PROCESSING = "processing"  # legs in flight
    CONFIRMED = "confirmed"  # stock reserved, payment captured
    COMPLETED = "completed"  # handed over
    CANCELLING = "cancelling"  # compensation in flight
    CANCELLED = "cancelled"  # by command
    REJECTED = "rejected"  # by a leg


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.CONFIRMED, Status.CANCELLING, Status.CANCELLED, Status.REJECTED}),
    Status.CONFIRMED: frozenset({Status.COMPLETED, Status.CANCELLING}),
    # When its goods come back.
    Status.COMPLETED: frozenset({Status.CANCELLING}),
    Status.CANCELLING: frozenset({Status.CANCELLED, Status.REJECTED}),
    # For late payments.
    Status.CANCELLED: frozenset({Status.CANCELLING}),
    Status.REJECTED: frozenset({Status.CANCELLING}),
}

UNDER_WAY = frozenset({Status.PENDING, Status.PROCESSING, Status.CANCELLING})
WITH_LEGS_UNDER_WAY = frozenset({Status.PROCESSING, Status.CANCELLING})
UNDONE = frozenset({Status.CANCELLING, Status.CANCELLED, Status.REJECTED})


# The code of the reason of orders that we cancel: nothing was paid until the time to pay had passed.
NOT_PAID_IN_TIME = "payment_not_completed"


class IllegalMove(Exception):
    """A transition outside TRANSITIONS: a defect."""

    def __init__(self, order_id: int, source: Status, target: Status) -> None:
        super().__init__(f"Order {order_id} cannot go from {source} to {target}.")
        self.order_id, self.source, self.target = order_id, source, target


def is_held(status: Status | str, *, is_due: bool) -> bool:
    """Whether an order is on hold: placed, and not to be processed yet."""
    return status == Status.PENDING and not is_due


def has_ended(status: Status | str, *, completion_requested: bool) -> bool:
    """Whether an order is final."""
    return status not in UNDER_WAY and not (status == Status.CONFIRMED and completion_requested)


def may_be_retried(status: Status | str, *, is_due: bool, attention: str) -> bool:
    """Whether a retry has an effect; it is always safe."""
    return not is_held(status, is_due=is_due) and (status in UNDER_WAY or bool(attention))
