"""One log line for each transition of an order, written by the reader of the journal: once, in order, off the hot path.

Without names and addresses. A page of the journal is one call of the logger.
"""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from django.conf import settings

from database.arrays import numbers
from database.prepared import execute
from orders.events import STATUS_AFTER, EventType
from orders.journal import FeedEvent
from orders.models import order_number
from orders.placing.origin import REQUEST, TRACE

logger = logging.getLogger(__name__)

STATUS_OF = {event.value: status.value for event, status in STATUS_AFTER.items()}
# Typed reasons may hold anything; these are codes.
WITH_CODE = EventType.REJECTED.value
ORIGINS = f"""
    SELECT order_id, data->>'{REQUEST}', data->>'{TRACE}' FROM orders_orderevent
    WHERE order_id = ANY(%s::bigint[]) AND sequence = 1
"""  # noqa: S608 - constants

# Request and trace by order id.
Origins = Mapping[int, tuple[str | None, str | None]]


def log(events: Sequence[FeedEvent], *, is_behind: bool) -> None:
    """Log the transitions among the events. A reader that is behind sums them up, unless LOG_TRANSITIONS is all."""
    if settings.LOG_TRANSITIONS == "0" or not logger.isEnabledFor(logging.INFO):
        return
    found = [event for event in events if event.type in STATUS_OF]
    if not found:
        return
    if is_behind and settings.LOG_TRANSITIONS != "all":
        logger.info("%s", _summary(found))
        return
    origins = _origins(found)
    logger.info("%s", "\n".join([_line(event, origins) for event in found]))


def _origins(events: Sequence[FeedEvent]) -> Origins:
    known = {e.order_id: (e.data.get(REQUEST), e.data.get(TRACE)) for e in events if e.sequence == 1}
    unknown = {event.order_id for event in events} - known.keys()
    rows = execute(ORIGINS, [numbers(sorted(unknown))]) if unknown else []
    return known | {order_id: (request, trace) for order_id, request, trace in rows}


def _line(event: FeedEvent, origins: Origins) -> str:
    request, trace = origins.get(event.order_id, (None, None))
    fields: dict[str, str | int] = {
        "order": _prefix(event.placed_at) + f"{event.order_id:04d}",
        "order_id": event.order_id,
        "status": STATUS_OF[event.type],
        "sequence": event.sequence,
    }
    if request:
        fields["request_id"] = request
    if trace and trace.count("-") > 1:
        fields["trace_id"] = trace.split("-")[1]
    if event.type == WITH_CODE and event.data.get("reason"):
        fields["reason"] = str(event.data["reason"])
    return _text(event.type, event.at, fields)


def _summary(events: Sequence[FeedEvent]) -> str:
    counts: dict[str, str | int] = dict(Counter(event.type for event in events))
    first, last = (order_number(event.order_id, event.placed_at) for event in (events[0], events[-1]))
    return _text("transitions", events[-1].at, counts | {"first_order": first, "last_order": last})


@lru_cache(maxsize=1024)
def _prefix(placed_at: datetime) -> str:
    return order_number(0, placed_at).removesuffix("0000")


def _text(event: str, at: datetime, fields: Mapping[str, str | int]) -> str:
    time = at.isoformat().replace("+00:00", "Z")
    if settings.LOG_FORMAT == "json":
        known = {"event": event, "timestamp": time, "level": "info", "logger": __name__}
        return json.dumps({**known, **fields})
    return f"{time} [info] {event} " + " ".join([f"{name}={value}" for name, value in fields.items()])
