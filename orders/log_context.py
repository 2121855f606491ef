"""Log and trace context, kept in an order's first event."""

from collections.abc import Sequence

import structlog
from django.conf import settings
from django.db import connection

from orders.models import OrderEvent
from telemetry import tracing

REQUEST = "request"
TRACE = "trace"
# Order ids per log line.
MAX_ORDERS = 20

TRACES = """
    SELECT data->>'trace' FROM orders_orderevent
    WHERE order_id = ANY(%s::bigint[]) AND sequence = 1 AND data ? 'trace' ORDER BY order_id LIMIT %s
"""


def of_request() -> dict[str, str]:
    """Return the current request's id and trace."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    found = {REQUEST: str(request_id)[:64]} if request_id else {}
    trace = tracing.current()
    return found | {TRACE: trace} if trace else found


def traces_of(order_ids: Sequence[int]) -> list[str]:
    """Return the orders' traces, up to MAX_LINKS."""
    if not tracing.is_on():
        return []
    with connection.cursor() as cursor:
        cursor.execute(TRACES, [list(order_ids), tracing.MAX_LINKS])
        return [trace for (trace,) in cursor.fetchall()]


def trace_url(event: OrderEvent | None) -> str:
    """Return the trace's URL, given the first event; "" without one."""
    trace_id = (event.data.get(TRACE) or "").split("-")[1:2] if event else []
    return settings.TRACE_URL.replace("{trace_id}", trace_id[0]) if trace_id and settings.TRACE_URL else ""


def of_batch(batch_id: object, order_ids: Sequence[int] = ()) -> dict[str, object]:
    orders = list(order_ids)
    some = {"orders": orders[:MAX_ORDERS], "order_count": len(orders)}
    return {"batch_id": batch_id} | (some if orders else {})
