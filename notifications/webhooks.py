"""Outgoing webhooks: order events for other systems.

The journal reader records deliveries once per subscription and event. A row still due is the retry.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Now

from live.messages import STATUS
from notifications import outbox, visits
from notifications.models import Delivery, Subscription
from notifications.outbox import Outcome
from notifications.outgoing import NotAllowed, NotAnswered, post
from notifications.payloads import NO_ORDER, TEST, compose
from notifications.signatures import signed_headers
from orders.journal import FeedEvent
from scheduling.slots import database_now

# A batch continues without slower calls; those end at their deadline.
PATIENCE_SECONDS = 2.0
# Default events: those that change an order's status.
USUAL = tuple(STATUS)

RECORD = """
    INSERT INTO notifications_delivery (subscription_id, order_id, sequence, event, state, due_at)
    SELECT s.id, e.order_id, e.sequence, e.type, 'waiting', now()
    FROM unnest(%(order_ids)s::bigint[], %(sequences)s::int[], %(types)s::text[]) AS e(order_id, sequence, type)
    JOIN notifications_subscription s
        ON s.active AND e.type = ANY(CASE WHEN s.events = '{}' THEN %(usual)s::text[] ELSE s.events END)
    ORDER BY e.order_id, e.sequence
    ON CONFLICT DO NOTHING
"""
FAIL_SWITCHED_OFF = """
    UPDATE notifications_delivery
    SET state = 'failed', due_at = NULL, failure = 'the subscription is switched off'
    WHERE id IN (SELECT d.id FROM notifications_subscription s
                 JOIN notifications_delivery d ON d.subscription_id = s.id AND d.due_at IS NOT NULL
                 WHERE NOT s.active LIMIT 1000 FOR UPDATE OF d SKIP LOCKED)
"""


def record(events: Sequence[FeedEvent]) -> None:
    """Record deliveries for events. Requires the journal reader's cursor lock."""
    if not events or not Subscription.objects.filter(active=True).exists():
        return
    parameters: dict[str, Any] = {
        "order_ids": [event.order_id for event in events],
        "sequences": [event.sequence for event in events],
        "types": [event.type for event in events],
        "usual": list(USUAL),
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD, parameters)


def is_due() -> bool:
    off = Delivery.objects.filter(subscription__active=False, due_at__isnull=False)
    return visits.is_due() or off.exists()


def deliver_batch() -> bool:
    """Send due deliveries. Return whether more may be due."""
    with connection.cursor() as cursor:
        cursor.execute(FAIL_SWITCHED_OFF)
        given_up = cursor.rowcount
    claimed = visits.claim()
    timestamp = int(database_now().timestamp())
    places = [(visit, lane) for visit in claimed for lane in visit.lanes]
    bodies = compose([delivery for _, lane in places for delivery in lane])
    outcomes = visits.DELIVERIES.send(
        [lane for _, lane in places],
        partial(_send, bodies, timestamp),
        pool="webhooks",
        places=settings.WEBHOOK_CONCURRENCY,
        patience=PATIENCE_SECONDS,
        on_end=lambda place, tried: places[place][0].lane_ended(tried),
    )
    return bool(given_up or outcomes)


def switch_on(subscription: Subscription) -> None:
    """Reactivate a subscription. The caller saves it."""
    subscription.active = True
    subscription.failures, subscription.failing_since, subscription.retry_at = 0, None, None
    subscription.switched_off_at, subscription.switched_off_reason = None, ""
    subscription.owner_notified_at = None


SWITCH_ON_FIELDS = (
    "active",
    "failures",
    "failing_since",
    "retry_at",
    "switched_off_at",
    "switched_off_reason",
    "owner_notified_at",
)


def redeliver(deliveries: QuerySet[Delivery], *, user_id: int) -> int:
    """Queue finished deliveries again and log the user. Return how many."""
    ended = deliveries.exclude(state=Delivery.State.WAITING)
    return visits.DELIVERIES.requeue(
        ended, user_id=user_id, note="Redelivered.", status_code=None, delivered_at=None
    )


def queue_test(subscription: Subscription) -> Delivery:
    """Queue a test delivery, which belongs to no order."""
    with transaction.atomic():
        Subscription.objects.select_for_update().get(pk=subscription.pk)
        earlier = Delivery.objects.filter(subscription=subscription, order_id=NO_ORDER)
        number = (earlier.aggregate(Max("sequence"))["sequence__max"] or 0) + 1
        made = Delivery.objects.create(
            subscription=subscription,
            order_id=NO_ORDER,
            sequence=number,
            event=TEST,
            state=Delivery.State.WAITING,
            due_at=Now(),
        )
    made.refresh_from_db()
    return made


def _send(bodies: Mapping[int, bytes], timestamp: int, delivery: Delivery) -> Outcome:
    subscription, body = delivery.subscription, bodies.get(delivery.pk)
    if body is None:
        return Outcome(Delivery.State.FAILED, "the order is in the archive")
    headers = {"Content-Type": "application/json", "User-Agent": "order-pipeline"}
    headers |= signed_headers(subscription, key=delivery.key, timestamp=timestamp, body=body)
    try:
        status = post(subscription.url, body, headers)
    except NotAllowed as problem:
        return _retry(delivery, str(problem))
    except NotAnswered as problem:
        return _retry(delivery, str(problem), hung=problem.hung)
    if 200 <= status < 300:
        return Outcome(Delivery.State.DELIVERED, status=status, taken=True)
    return _retry(delivery, f"it answered {status}", status=status)


def _retry(delivery: Delivery, why: str, **facts: Any) -> Outcome:
    return outbox.retry(delivery, why, attempts=settings.WEBHOOK_ATTEMPTS, taken=False, **facts)
