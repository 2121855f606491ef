"""Deadlines: how long an order may stay in a state before it needs attention.

Waiting for a provider uses up no attempt, so attempts alone never escalate. Processing continues, and leaving
the state clears the flag.
"""

import logging
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from orders import journal
from orders.events import STATUS_AFTER
from orders.legs import PATIENT_WAITS
from orders.status import Status
from orders.workflow import LONGEST_WAIT

logger = logging.getLogger(__name__)

POLL_SECONDS = 60.0
AT_ONCE = 500
DEADLINES = {
    Status.PENDING: timedelta(hours=1),  # allows for a backlog; held orders are exempt
    Status.PROCESSING: timedelta(minutes=15),
    Status.CANCELLING: timedelta(minutes=15),
}

# Where the customer or the bank decides: the time to pay ends it before, if there is one.
PATIENCE = timedelta(days=30)

# Age of the event that led to the state.
LATE = """
    SELECT order_id FROM orders_journey j
    WHERE status = %s AND due_at IS NOT NULL AND attention = '' AND (waiting_for = ANY(%s)) = %s AND (
        SELECT at FROM orders_orderevent e
        WHERE e.order_id = j.order_id AND type = ANY(%s) ORDER BY sequence DESC LIMIT 1
    ) < now() - %s * interval '1 second'
    LIMIT %s
"""

# A later due time came from a clock that was ahead.
WAITS_TOO_LONG = 15 * LONGEST_WAIT
REJOIN = """
    UPDATE orders_journey SET due_at = now() WHERE order_id IN (
        SELECT order_id FROM orders_journey
        WHERE due_at > now() + (CASE WHEN waiting_for = ANY(%s) THEN 86400 ELSE %s END) * interval '1 second'
        LIMIT %s FOR UPDATE SKIP LOCKED
    )
"""


class DeadlineWatch:
    """Checks deadlines in one dispatcher."""

    def __init__(self) -> None:
        self._next_poll = 0.0

    def look(self) -> None:
        """Escalate overdue orders, at most once a minute."""
        if time.monotonic() < self._next_poll:
            return
        self._next_poll = time.monotonic() + POLL_SECONDS
        if early := reschedule_from_the_future():
            logger.warning("%d orders had impossible due times and are due now: a clock was ahead", early)
        for status, deadline in DEADLINES.items():
            if late := escalate_overdue(status, deadline):
                logger.warning("%d orders are %s for over %s", late, status, deadline)
            if late := escalate_overdue(status, PATIENCE, waits_patiently=True):
                logger.warning("%d orders wait for a payment for over %s", late, PATIENCE)


def escalate_overdue(status: Status, deadline: timedelta, *, waits_patiently: bool = False) -> int:
    """Escalate overdue orders. Return how many; at most AT_ONCE.

    `waits_patiently`: those that wait for a decision of the customer or the bank; else those that do not.
    """
    entered_by = [event.value for event, after in STATUS_AFTER.items() if after is status]
    with transaction.atomic():
        with connection.cursor() as cursor:
            waits: list[Any] = [list(PATIENT_WAITS), waits_patiently]
            cursor.execute(LATE, [status.value, *waits, entered_by, deadline.total_seconds(), AT_ONCE])
            late = [order_id for (order_id,) in cursor.fetchall()]
        journeys = [j for j in journal.lock(late) if j.status is status and j.is_due]
        for journey in journeys:
            journey.overdue(deadline)
        journal.save(journeys)
    return len(journeys)


def reschedule_from_the_future() -> int:
    """Reschedule orders due impossibly late. Return how many; at most AT_ONCE."""
    longest = max(WAITS_TOO_LONG, 2 * settings.LEASE_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(REJOIN, [list(PATIENT_WAITS), longest, AT_ONCE])
        return int(cursor.rowcount)
