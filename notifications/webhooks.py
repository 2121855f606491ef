"""Outgoing webhooks: order events for other systems.

The journal reader records deliveries once per subscription and event. A row still due is the retry.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from live.messages import STATUS, Message
from notifications import visits
from notifications.models import Delivery, Subscription
from notifications.outgoing import NotAllowed, NotAnswered, post
from notifications.visits import Outcome
from orders.journal import FeedEvent
from orders.models import Order, OrderEvent
from providers.concurrency import concurrently
from runtime import signatures
from scheduling.slots import database_now

# A batch continues without slower calls; those end at their deadline.
PATIENCE_SECONDS = 2.0
LANE_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 3600.0
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
    """Return whether deliveries are to be sent or failed."""
    off = Delivery.objects.filter(subscription__active=False, due_at__isnull=False)
    return visits.is_due() or off.exists()


def deliver_batch() -> bool:
    """Send due deliveries. Return whether more may be due."""
    with connection.cursor() as cursor:
        cursor.execute(FAIL_SWITCHED_OFF)
        given_up = cursor.rowcount
    claimed = visits.claim()
    timestamp = int(database_now().timestamp())
    lanes = [(visit, lane) for visit in claimed for lane in visit.lanes]
    bodies = _bodies([delivery for _, lane in lanes for delivery in lane])
    done = concurrently(
        [partial(_send_lane, lane, bodies, timestamp) for _, lane in lanes],
        patience=PATIENCE_SECONDS,
        on_late=lambda place, sent: lanes[place][0].lane_ended(lanes[place][1], sent),
        pool="webhooks",
        places=settings.WEBHOOK_CONCURRENCY,
    )
    for place, (visit, lane) in enumerate(lanes):
        if place not in done.late:
            visit.lane_ended(lane, done.results.get(place, []))
    return bool(given_up or any(done.results.values()))


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
    with transaction.atomic():
        chosen = Delivery.objects.filter(pk__in=list(ended.select_for_update().values_list("pk", flat=True)))
        count = chosen.update(
            state=Delivery.State.WAITING,
            due_at=Now(),
            attempts=0,
            failure="",
            status_code=None,
            delivered_at=None,
        )
        LogEntry.objects.log_actions(user_id, chosen, CHANGE, change_message="Told again.")
    return count


def _bodies(deliveries: Sequence[Delivery]) -> dict[int, bytes]:
    """Archived orders have none."""
    orders = Order.objects.in_bulk({delivery.order_id for delivery in deliveries})
    found = OrderEvent.objects.filter(order_id__in=orders)
    events: dict[tuple[int, int], OrderEvent] = {(event.order_id, event.sequence): event for event in found}
    return {
        d.pk: Message.of_order_event(event, orders[d.order_id]).plain.encode()
        for d in deliveries
        if (event := events.get((d.order_id, d.sequence)))
    }


def _send_lane(
    lane: Sequence[Delivery], bodies: Mapping[int, bytes], timestamp: int
) -> list[tuple[Delivery, Outcome]]:
    """Send in sequence until a failure or timeout. Return what was tried."""
    until = time.monotonic() + LANE_SECONDS
    tried: list[tuple[Delivery, Outcome]] = []
    for delivery in lane:
        if tried and time.monotonic() > until:
            break
        outcome = _send(delivery, bodies.get(delivery.pk), timestamp)
        tried.append((delivery, outcome))
        if outcome.taken is False:
            break
    return tried


def _send(delivery: Delivery, body: bytes | None, timestamp: int) -> Outcome:
    subscription = delivery.subscription
    if body is None:
        return Outcome("failed", failure="the order is in the archive")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "order-pipeline",
        # For the receiver's deduplication.
        "Webhook-Id": delivery.key,
        "Webhook-Signature": signatures.header(subscription.secret, timestamp=timestamp, body=body),
    }
    try:
        status = post(subscription.url, body, headers)
    except NotAllowed as problem:
        return _retry_later(delivery, str(problem), None)
    except NotAnswered as problem:
        return _retry_later(delivery, str(problem), None, hung=problem.hung)
    if 200 <= status < 300:
        return Outcome("delivered", status, taken=True)
    return _retry_later(delivery, f"it answered {status}", status)


def _retry_later(delivery: Delivery, why: str, status: int | None, *, hung: bool = False) -> Outcome:
    if delivery.attempts >= settings.WEBHOOK_ATTEMPTS:
        given_up = f"given up after {delivery.attempts} tries: {why}"[:200]
        return Outcome("failed", status, given_up, taken=False, hung=hung)
    wait = min(LONGEST_WAIT_SECONDS, 2.0 ** (delivery.attempts - 1))
    return Outcome("waiting", status, why[:200], due_in=wait, taken=False, hung=hung)
