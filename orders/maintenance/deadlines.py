"""Deadlines: how long an order may stay in a state before it needs attention.

Waiting for a provider uses up no attempt, so attempts alone never escalate. Processing continues, and leaving
the state clears the flag.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from orders.events import STATUS_AFTER
from orders.models import Journey
from orders.status import Status
from orders.workflow import LONGEST_WAIT
from scheduling.pace import Pace

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

# A later due time came from a clock that was ahead.
WAITS_TOO_LONG = 15 * LONGEST_WAIT


class DeadlineWatch:
    def __init__(self) -> None:
        self._pace = Pace(POLL_SECONDS)

    def look(self) -> None:
        """Escalate overdue orders, at most once a minute."""
        if not self._pace.is_due():
            return
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
        late = Journey.objects.overdue(
            status,
            waits_patiently=waits_patiently,
            entered_by=entered_by,
            seconds=deadline.total_seconds(),
            limit=AT_ONCE,
        )
        journeys = [j for j in Journey.objects.lock(late) if j.status is status and j.is_due]
        for journey in journeys:
            journey.overdue(deadline)
        Journey.objects.save_all(journeys)
    return len(journeys)


def reschedule_from_the_future() -> int:
    """Return how many; at most AT_ONCE."""
    longest = max(WAITS_TOO_LONG, 2 * settings.LEASE_SECONDS)
    return Journey.objects.bring_forward(beyond=longest, limit=AT_ONCE)
