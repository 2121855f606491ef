"""The last span of an order's trace: its events at the sockets."""

from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext

from orders.journal import FeedEvent
from orders.placing.origin import TRACE
from telemetry import tracing

# Only an order's first event carries its trace.
REMEMBERED = 20_000


class OrderTraces:
    """Caches the latest orders' traces while tracing is on."""

    def __init__(self) -> None:
        self._cached: OrderedDict[int, str] = OrderedDict()

    def telling(self, event: FeedEvent, *, sockets: int) -> AbstractContextManager[None]:
        if not tracing.is_on():
            return nullcontext()
        if trace := event.data.get(TRACE):
            self._cached[event.order_id] = str(trace)
            if len(self._cached) > REMEMBERED:
                self._cached.popitem(last=False)
        known = self._cached.get(event.order_id)
        if known is None or not sockets:
            return nullcontext()
        return tracing.span(
            f"tell {event.type}",
            parents=[known],
            order_id=event.order_id,
            sequence=event.sequence,
            sockets=sockets,
        )
