"""Visits: a lease of one subscription.

Each lane sends some orders' deliveries up to the first failure; after failed visits a single call probes,
with growing pauses.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q

from notifications.models import Delivery, Subscription
from notifications.outbox import Outbox, Outcome, Tried

logger = logging.getLogger(__name__)

# Longer than a lane and its last call: 10 s + 30 s + DNS.
LEASE_SECONDS = 60
DELIVERIES_PER_LANE = 25
DELIVERIES = Outbox(
    Delivery,
    sent=Delivery.State.DELIVERED,
    sent_at="delivered_at",
    lease_seconds=LEASE_SECONDS,
    receiver="subscription_id",
)
# Failed visits without a pause, unless a call hung.
FREE_FAILURES = 2
LONGEST_PAUSE_SECONDS = 600
# Minimum: a quiet subscription may have no visit in a day.
SWITCH_OFF_FAILURES = 10

MAY_BE_VISITED = """
    s.active AND coalesce(s.leased_until, '-infinity') <= now() AND coalesce(s.retry_at, '-infinity') <= now()
    AND EXISTS (SELECT FROM notifications_delivery d WHERE d.subscription_id = s.id AND d.due_at <= now())
"""
IS_DUE = f"SELECT EXISTS (SELECT FROM notifications_subscription s WHERE {MAY_BE_VISITED})"  # noqa: S608
LEASE = f"""
    UPDATE notifications_subscription SET leased_until = now() + %s * interval '1 second'
    WHERE id IN (SELECT s.id FROM notifications_subscription s WHERE {MAY_BE_VISITED}
                 ORDER BY s.leased_until NULLS FIRST LIMIT %s FOR UPDATE OF s SKIP LOCKED)
    RETURNING id
"""  # noqa: S608
# Only while the lease is held.
WENT_WELL = """
    UPDATE notifications_subscription
    SET leased_until = now(), failures = 0, failing_since = NULL, retry_at = NULL
    WHERE id = %(id)s AND leased_until = %(lease)s
"""
UNTRIED = """
    UPDATE notifications_subscription SET leased_until = now() WHERE id = %(id)s AND leased_until = %(lease)s
"""
WENT_BADLY = """
    UPDATE notifications_subscription s
    SET leased_until = now(), failures = n.failures, failing_since = n.since,
        retry_at = CASE WHEN n.failures > %(free)s THEN now() + interval '1 second'
            * least(%(longest)s, 2.0 ^ least(n.failures - %(free)s - 1, 20)) END,
        active = s.active AND NOT n.is_hopeless,
        switched_off_at = CASE WHEN n.is_hopeless THEN now() ELSE s.switched_off_at END,
        switched_off_reason = CASE WHEN n.is_hopeless THEN %(reason)s ELSE s.switched_off_reason END
    FROM (SELECT id, failures + 1 AS failures, coalesce(failing_since, now()) AS since,
                 active AND failures + 1 >= %(enough)s
                 AND coalesce(failing_since, now()) <= now() - %(hours)s * interval '1 hour' AS is_hopeless
          FROM notifications_subscription WHERE id = %(id)s FOR UPDATE) n
    WHERE s.id = n.id AND s.leased_until = %(lease)s
    RETURNING n.is_hopeless
"""


class Visit:
    def __init__(self, subscription: Subscription, lanes: list[list[Delivery]]) -> None:
        self.subscription, self.lanes = subscription, lanes
        assert subscription.leased_until is not None
        self._lease: datetime = subscription.leased_until
        self._open, self._outcomes, self._lock = len(lanes), list[Outcome](), threading.Lock()

    def lane_ended(self, tried: Tried[Delivery]) -> None:
        """The last lane ends the visit."""
        with self._lock:
            self._outcomes += [outcome for _, outcome in tried]
            self._open -= 1
            is_last = not self._open
        if is_last:
            self.end()

    def end(self) -> None:
        lease = {"id": self.subscription.pk, "lease": self._lease}
        called = [outcome for outcome in self._outcomes if outcome.taken is not None]
        if any(outcome.taken for outcome in called):
            _execute(WENT_WELL, lease)
        elif not called:
            _execute(UNTRIED, lease)
        else:
            self._end_badly(lease, called[-1], hung=any(outcome.hung for outcome in called))

    def _end_badly(self, lease: dict[str, Any], last: Outcome, *, hung: bool) -> None:
        hours = settings.WEBHOOK_SWITCH_OFF_HOURS
        parameters = lease | {
            "free": 0 if hung else FREE_FAILURES,
            "longest": LONGEST_PAUSE_SECONDS,
            "enough": SWITCH_OFF_FAILURES,
            "hours": hours,
            "reason": f"it took nothing for {hours:g} hours; at last: {last.failure}"[:200],
        }
        if any(is_hopeless for (is_hopeless,) in _execute(WENT_BADLY, parameters)):
            logger.warning("The webhook subscription %s was switched off.", self.subscription)


def is_due() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(IS_DUE)
        return bool(cursor.fetchone()[0])


def standings() -> dict[str, int]:
    """Count subscriptions: healthy, failing, switched off automatically, switched off manually."""
    itself = Q(switched_off_at__isnull=False)
    return Subscription.objects.aggregate(
        well=Count("pk", filter=Q(active=True, failing_since=None)),
        failing=Count("pk", filter=Q(active=True, failing_since__isnull=False)),
        switched_off=Count("pk", filter=Q(active=False) & itself),
        off=Count("pk", filter=Q(active=False) & ~itself),
    )


def claim() -> list[Visit]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LEASE, [LEASE_SECONDS, settings.WEBHOOK_CONCURRENCY])
        ids = [row[0] for row in cursor.fetchall()]
        leased = list(Subscription.objects.filter(id__in=ids))
        taken = DELIVERIES.claim({s.pk: _room(s) for s in leased})
    deliveries = Delivery.objects.filter(id__in=taken).select_related("subscription").order_by("id")
    visits = [Visit(s, _lanes([d for d in deliveries if d.subscription_id == s.pk])) for s in leased]
    for visit in visits:
        if not visit.lanes:  # another process was faster
            visit.end()
    return [visit for visit in visits if visit.lanes]


def _room(subscription: Subscription) -> int:
    if subscription.failures:
        return 1  # a probe
    return int(settings.WEBHOOK_CALLS_PER_SUBSCRIPTION) * DELIVERIES_PER_LANE


def _lanes(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Spread orders over the lanes."""
    count = int(settings.WEBHOOK_CALLS_PER_SUBSCRIPTION)
    lanes = [[d for d in deliveries if d.order_id % count == number] for number in range(count)]
    return [lane for lane in lanes if lane]


def _execute(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []
