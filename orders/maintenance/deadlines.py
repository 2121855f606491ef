"""How long an order may be in a state before a person hears of it, however good the reasons are.

Waiting for a provider that is down uses up no attempt, so attempts alone would never call anybody. An order that
is late goes on as before: a deadline only puts it before a person as well, and its arrival takes it off again.
"""

import logging
import time
from datetime import timedelta

from django.db import connection, transaction

from orders import journal
from orders.workflow import STATUS_AFTER, Status

logger = logging.getLogger(__name__)

POLL_SECONDS = 60.0
AT_ONCE = 500
DEADLINES = {
    Status.PENDING: timedelta(hours=1),  # a backlog may take a while; what is held is not waited for
    Status.PROCESSING: timedelta(minutes=15),
    Status.CANCELLING: timedelta(minutes=15),
}

# Since the latest event that brought the order into its state.
LATE = """
    SELECT order_id FROM orders_journey j
    WHERE status = %s AND due_at IS NOT NULL AND attention = '' AND (
        SELECT at FROM orders_orderevent e
        WHERE e.order_id = j.order_id AND type = ANY(%s) ORDER BY sequence DESC LIMIT 1
    ) < now() - %s * interval '1 second'
    LIMIT %s
"""


class DeadlineWatch:
    """One dispatcher's eye on the deadlines."""

    def __init__(self) -> None:
        self._next_look = 0.0

    def look(self) -> None:
        """Put before a person what is late, once a minute."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + POLL_SECONDS
        for status, deadline in DEADLINES.items():
            if late := escalate_overdue(status, deadline):
                logger.warning("%d orders are %s for over %s", late, status, deadline)


def escalate_overdue(status: Status, deadline: timedelta) -> int:
    """Put orders that are in a state for too long before a person. Return how many; at most AT_ONCE."""
    brought_there = [event.value for event, after in STATUS_AFTER.items() if after is status]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(LATE, [status.value, brought_there, deadline.total_seconds(), AT_ONCE])
            late = [order_id for (order_id,) in cursor.fetchall()]
        journeys = [j for j in journal.lock(late) if j.status is status and j.is_due]
        for journey in journeys:
            journey.overdue(deadline)
        journal.save(journeys)
    return len(journeys)
