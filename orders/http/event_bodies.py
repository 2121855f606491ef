"""Response bodies of an order's events."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

from api.responses import Answer
from orders.events import STATUS_AFTER, EventType
from orders.http.responses import status_name
from orders.models import OrderEvent

STATUS_BY_EVENT = {event.value: status for event, status in STATUS_AFTER.items()}


class Event(Answer):
    """An event of an order. Sequences are gapless."""

    sequence: int
    type: str
    status: Annotated[str, Meta(description="The status after the event, if it changed.")] | None
    progress: int
    data: dict[str, Any]
    at: datetime


class EventPage(Answer):
    """A page of an order's events, oldest first."""

    next: str | None
    results: list[Event]


def event(row: OrderEvent, *, staff: bool) -> Event:
    """Return an event without internal details such as tracebacks."""
    # By plain text: during a deploy the journal has events of a newer release.
    becomes = STATUS_BY_EVENT.get(row.type)
    internal = row.type == EventType.ATTENTION_NEEDED
    shown = (
        {}
        if internal and not staff
        else {name: value for name, value in row.data.items() if name != "details"}
    )
    return Event(
        sequence=row.sequence,
        type=row.type,
        status=status_name(becomes) if becomes else None,
        progress=row.progress,
        data=shown,
        at=row.at,
    )
