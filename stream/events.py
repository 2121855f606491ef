"""A journal event as a CloudEvent 1.0 in JSON; the subject has its owner and order."""

from dataclasses import dataclass

import msgspec
from django.conf import settings

from live.messages import Message
from orders.events import STATUS_AFTER
from orders.journal import FeedEvent

ROOT = "orders"
STATUS_EVENTS = frozenset(event.value for event in STATUS_AFTER)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """A stream message; its id is the event's journal position."""

    subject: str
    id: str
    payload: bytes


def is_exported(event: FeedEvent) -> bool:
    return settings.STREAM_EVENTS == "all" or event.type in STATUS_EVENTS


def stream_event(event: FeedEvent) -> StreamEvent:
    """Return the stream's form of an event; the data equal the live feed's."""
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
