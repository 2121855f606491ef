"""Visits: which subscriptions are called now, with how many calls at once, and which are left alone or switched off.

A visit is a lease on one subscription, so that however many processes send webhooks, and however long calls hang, no
more than WEBHOOK_CALLS_PER_SUBSCRIPTION of them are under way to it. Its deliveries are dealt into as many lanes, by
order; a lane ends at the first that is not taken. A subscription that took nothing in a visit is next probed with a
single call, and after some such visits with growing pauses; one that goes on like this for
WEBHOOK_SWITCH_OFF_HOURS is switched off, and its owner gets an e-mail (`notifications.notices`).
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Q

from notifications.models import Delivery, Subscription

logger = logging.getLogger(__name__)

# Longer than a lane and its last call take: 10 s, and at most 30 s besides the look-up of a name.
LEASE_SECONDS = 60
DELIVERIES_PER_LANE = 25
# So many visits without anything taken slow nothing down yet, unless a call hung.
FREE_FAILURES = 2
LONGEST_PAUSE_SECONDS = 600
# So many at least, before a subscription is switched off: a quiet one may have none in a day.
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
TAKE = """
    UPDATE notifications_delivery SET attempts = attempts + 1, due_at = now() + %s * interval '1 second'
    WHERE id IN (
        SELECT d.id FROM unnest(%s::bigint[], %s::int[]) AS wanted(subscription_id, room)
        CROSS JOIN LATERAL (
            SELECT id FROM notifications_delivery
            WHERE subscription_id = wanted.subscription_id AND due_at <= now()
            ORDER BY due_at, id LIMIT wanted.room FOR UPDATE SKIP LOCKED) d)
    RETURNING id
"""
SETTLE = """
    UPDATE notifications_delivery d
    SET state = o.state, failure = o.failure, status_code = o.status,
        delivered_at = CASE WHEN o.state = 'delivered' THEN now() END,
        due_at = now() + o.due_in * interval '1 second'
    FROM unnest(%(ids)s::bigint[], %(attempts)s::int[], %(states)s::text[], %(failures)s::text[],
                %(statuses)s::int[], %(due_in)s::float8[]) AS o(id, attempts, state, failure, status, due_in)
    WHERE d.id = o.id AND d.state = 'waiting' AND d.attempts = o.attempts
"""
# What a lane did not get to has used up no try.
RELEASE = """
    UPDATE notifications_delivery d SET attempts = d.attempts - 1, due_at = now()
    FROM unnest(%(ids)s::bigint[], %(attempts)s::int[]) AS o(id, attempts)
    WHERE d.id = o.id AND d.state = 'waiting' AND d.attempts = o.attempts
"""
# Both hold only for who still has the lease.
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try. `due_in` is when to try again, in seconds; None: never."""

    state: str
    status: int | None = None
    failure: str = ""
    due_in: float | None = None
    taken: bool | None = None  # by the receiver; None: it was not called
    hung: bool = False  # it kept us waiting until the deadline


Tried = Sequence[tuple[Delivery, Outcome]]


class Visit:
    """A leased subscription, and what it is sent in this visit."""

    def __init__(self, subscription: Subscription, lanes: list[list[Delivery]]) -> None:
        self.subscription, self.lanes = subscription, lanes
        assert subscription.leased_until is not None
        self._lease: datetime = subscription.leased_until
        self._open, self._outcomes, self._lock = len(lanes), list[Outcome](), threading.Lock()

    def lane_ended(self, lane: Sequence[Delivery], tried: Tried) -> None:
        """Record what was tried of a lane, and release the rest of it. The last lane ends the visit."""
        _settle(tried)
        done = {delivery.pk for delivery, _ in tried}
        _release([delivery for delivery in lane if delivery.pk not in done])
        with self._lock:
            self._outcomes += [outcome for _, outcome in tried]
            self._open -= 1
            is_last = not self._open
        if is_last:
            self.end()

    def end(self) -> None:
        """Give the lease up, and draw the conclusions."""
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
    """Return whether a subscription may be visited now, and has something due."""
    with connection.cursor() as cursor:
        cursor.execute(IS_DUE)
        return bool(cursor.fetchone()[0])


def standings() -> dict[str, int]:
    """Return how many subscriptions are well, failing, switched off by themselves, and off by a person's hand."""
    itself = Q(switched_off_at__isnull=False)
    return Subscription.objects.aggregate(
        well=Count("pk", filter=Q(active=True, failing_since=None)),
        failing=Count("pk", filter=Q(active=True, failing_since__isnull=False)),
        switched_off=Count("pk", filter=Q(active=False) & itself),
        off=Count("pk", filter=Q(active=False) & ~itself),
    )


def claim() -> list[Visit]:
    """Lease the subscriptions that were not visited for longest, and claim some of what is due to each."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(LEASE, [LEASE_SECONDS, settings.WEBHOOK_CONCURRENCY])
        ids = [row[0] for row in cursor.fetchall()]
        leased = list(Subscription.objects.filter(id__in=ids))
        cursor.execute(TAKE, [LEASE_SECONDS, [s.pk for s in leased], [_room(s) for s in leased]])
        taken = [row[0] for row in cursor.fetchall()]
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
    """Deal deliveries into lanes; those of one order stay in one, in their order."""
    count = int(settings.WEBHOOK_CALLS_PER_SUBSCRIPTION)
    lanes = [[d for d in deliveries if d.order_id % count == number] for number in range(count)]
    return [lane for lane in lanes if lane]


def _settle(tried: Tried) -> None:
    if not tried:
        return
    parameters = _named([delivery for delivery, _ in tried]) | {
        "states": [outcome.state for _, outcome in tried],
        "failures": [outcome.failure for _, outcome in tried],
        "statuses": [outcome.status for _, outcome in tried],
        "due_in": [outcome.due_in for _, outcome in tried],
    }
    _execute(SETTLE, parameters)
    for delivery, outcome in tried:
        if outcome.state == "failed":
            subscription = delivery.subscription
            logger.warning(
                "The webhook %s to %s was given up: %s", delivery.key, subscription, outcome.failure
            )


def _release(deliveries: Sequence[Delivery]) -> None:
    if deliveries:
        _execute(RELEASE, _named(deliveries))


def _named(deliveries: Sequence[Delivery]) -> dict[str, Any]:
    """Return what a delivery is known by, as long as nobody else claimed it."""
    return {"ids": [d.pk for d in deliveries], "attempts": [d.attempts for d in deliveries]}


def _execute(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []
