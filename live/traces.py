"""The last stretch of an order's trace: what is told of it at the sockets."""

from collections import OrderedDict
from contextlib import AbstractContextManager, nullcontext

from orders.journal import FeedEvent
from orders.log_context import TRACE
from telemetry import tracing

# Orders whose traces are remembered, the latest; only an order's first event names its trace.
REMEMBERED = 20_000


class OrderTraces:
    """Remembers in which trace each of the latest orders was placed. Does nothing while nothing is traced."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, str] = OrderedDict()

    def telling(self, event: FeedEvent, *, sockets: int) -> AbstractContextManager[None]:
        """Record the telling of an event in its order's trace."""
        if not tracing.is_on():
            return nullcontext()
        if trace := event.data.get(TRACE):
            self._known[event.order_id] = str(trace)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        known = self._known.get(event.order_id)
        if known is None or not sockets:
            return nullcontext()
        return tracing.span(
            f"tell {event.type}",
            parents=[known],
            order_id=event.order_id,
            sequence=event.sequence,
            sockets=sockets,
        )
