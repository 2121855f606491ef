"""Orders that wait for the payment provider: once it is well again, nobody waits out the rest of a pause.

While the provider is down an order is looked at less and less often, and each look waits for the breaker, too:
without this, the last order would go on a minute after the provider does. What is missed here (by a dispatcher
that starts only afterwards, say) is merely looked at later.
"""

import logging
import time

from django.db import connection

from orders.workflow import Wait
from providers.breaker import breaker

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# So many orders a second come back: a provider that has just got up is not to be run over.
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
    """One dispatcher's eye on the payment provider's breaker."""

    def __init__(self) -> None:
        self._was_closed = True
        self._next_look = 0.0

    def look(self) -> None:
        """Have what waits for the provider looked at soon, if its breaker has closed since the last look."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + POLL_SECONDS
        state = breaker("payments").state().state
        if state == "unknown":
            return
        is_closed = state == "closed"
        if is_closed and not self._was_closed:
            logger.info(
                "The payment provider is back: %d orders that waited for it are due", resume_waiting()
            )
        self._was_closed = is_closed


def resume_waiting() -> int:
    """Make the orders that wait for the payment provider due, the oldest first. Return how many there are."""
    with connection.cursor() as cursor:
        cursor.execute(RESUME, [WAITS, RAMP])
        return int(cursor.rowcount)
