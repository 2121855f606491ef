"""An event of the journal as the stream has it: a CloudEvent 1.0 in JSON, below the subject of its owner and order."""

from dataclasses import dataclass

import msgspec
from django.conf import settings

from live.messages import Message
from orders.journal import FeedEvent
from orders.workflow import STATUS_AFTER

ROOT = "orders"
STATUS_EVENTS = frozenset(event.value for event in STATUS_AFTER)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """A message of the stream. Its id is the event's position in the journal."""

    subject: str
    id: str
    payload: bytes


def is_exported(event: FeedEvent) -> bool:
    """Whether an event goes to the stream: all of them, or those that change an order's status."""
    return settings.STREAM_EVENTS == "all" or event.type in STATUS_EVENTS


def stream_event(event: FeedEvent) -> StreamEvent:
    """Return an event of the journal as it goes to the stream. Its data are those of the live feed."""
    position = str(event.position)
    envelope = {
        "specversion": "1.0",
        "id": position,
        "source": f"{settings.PUBLIC_URL}/orders",
        "type": f"{ROOT}.{event.type}",
        "subject": str(event.order_id),
        "time": event.at,
        "sequence": str(event.sequence),
        "datacontenttype": "application/json",
        "data": msgspec.Raw(Message.of_feed_event(event).plain.encode()),
    }
    subject = f"{ROOT}.{event.owner_id}.{event.order_id}.{event.type}"
    return StreamEvent(subject, position, msgspec.json.encode(envelope))
