"""Resume of orders that wait for the payment provider when its breaker closes.

A missed change only costs the rest of their back-off.
"""

import logging
import time

from django.db import connection

from orders.workflow import Wait
from payments import talking
from providers.breaker import breaker

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# Orders per second, so as not to overrun a recovering provider.
RAMP = 50.0
WAITS = [Wait.PAYMENT_PROVIDER.value, Wait.PAYMENT_OUTCOME.value]

RESUME = """
    WITH parked AS (
        SELECT order_id FROM orders_journey
        WHERE due_at > now() AND batch_id IS NULL AND waiting_for = ANY(%s) FOR UPDATE SKIP LOCKED
    ), turns AS (
        SELECT order_id, row_number() OVER (ORDER BY order_id) - 1 AS turn FROM parked
    )
    UPDATE orders_journey j SET due_at = least(j.due_at, now() + turn / %s::float8 * interval '1 second')
    FROM turns WHERE j.order_id = turns.order_id
"""


class ProviderWatch:
    """Watches the payment provider's breaker."""

    def __init__(self) -> None:
        self._was_closed = True
        self._next_poll = 0.0

    def look(self) -> None:
        """Resume orders if the breaker has closed."""
        if time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + POLL_SECONDS
        state = breaker(talking.provider_name()).state().state
        if state == "unknown":
            return
        is_closed = state == "closed"
        if is_closed and not self._was_closed:
            logger.info(
                "The payment provider is back: %d orders that waited for it are due", resume_waiting()
            )
        self._was_closed = is_closed


def resume_waiting() -> int:
    """Make waiting orders due, oldest first. Return how many."""
    with connection.cursor() as cursor:
        cursor.execute(RESUME, [WAITS, RAMP])
        return int(cursor.rowcount)
