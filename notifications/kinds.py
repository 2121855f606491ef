"""The mails that customers get, in one table: which event of an order causes which."""

from notifications.models import Kind
from orders.events import EventType

KINDS: dict[str, Kind] = {
    EventType.PLACED: Kind.RECEIVED,
    EventType.CONFIRMED: Kind.CONFIRMED,
    EventType.REJECTED: Kind.REJECTED,
    EventType.CANCELLED: Kind.CANCELLED,
    EventType.COMPLETED: Kind.COMPLETED,
    EventType.REFUND_SUCCEEDED: Kind.PART_REFUNDED,
}
# Sent a little later, unless a later event of the order has made it pointless by then.
PROVISIONAL = (Kind.RECEIVED,)
# Of an order that was completed before, a cancellation is a refund.
REFUND_INSTEAD_OF, AFTER = Kind.CANCELLED, EventType.COMPLETED
