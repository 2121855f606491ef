"""Outgoing webhooks: what happens to orders, told to other systems over HTTP.

The journal's reader puts deliveries on record with everything else it records, so each event is told once to each
subscription, or tried until it is. A row that is still due is the retry; a person may have one sent again.
"""

import hashlib
import hmac
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from live.messages import STATUS, Message
from notifications.models import Delivery, Subscription
from notifications.outgoing import NotAllowed, NotAnswered, post
from orders.journal import FeedEvent
from orders.models import Order, OrderEvent
from providers.concurrency import concurrently
from scheduling.slots import database_now

logger = logging.getLogger(__name__)

BATCH = 50
LEASE_SECONDS = 60
PATIENCE_SECONDS = 20.0
LONGEST_WAIT_SECONDS = 3600.0
# What a subscription that names no events is told: whatever changes an order's status.
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
CLAIM = """
    UPDATE notifications_delivery SET attempts = attempts + 1, due_at = now() + %s * interval '1 second'
    WHERE id IN (SELECT id FROM notifications_delivery WHERE due_at <= now() ORDER BY due_at LIMIT %s
                 FOR UPDATE SKIP LOCKED)
    RETURNING id
"""
SETTLE = """
    UPDATE notifications_delivery
    SET state = %(state)s, failure = %(failure)s, status_code = %(status)s,
        delivered_at = CASE WHEN %(state)s = 'delivered' THEN now() END,
        due_at = now() + %(due_in)s * interval '1 second'
    WHERE id = %(id)s AND state = 'waiting' AND attempts = %(attempts)s
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try. `due_in` is when to try again, in seconds; None: never."""

    state: str
    status: int | None = None
    failure: str = ""
    due_in: float | None = None


def record(events: Sequence[FeedEvent]) -> None:
    """Put on record what is to be told to whom. Only who holds the journal reader's place may."""
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
    """Return whether there is anything to tell now."""
    return Delivery.objects.filter(due_at__lte=Now()).exists()


def deliver_batch() -> bool:
    """Try to tell what is due, at most a batch of it. Return whether there may be more."""
    deliveries, timestamp = _claim(), int(database_now().timestamp())
    calls = [
        partial(_tell, delivery, body, timestamp)
        for delivery, body in zip(deliveries, _bodies(deliveries), strict=True)
    ]
    done = concurrently(
        calls,
        patience=PATIENCE_SECONDS,
        on_late=lambda place, outcome: _settle(deliveries[place], outcome),
    )
    for place, outcome in done.results.items():
        _settle(deliveries[place], outcome)
    return len(deliveries) == BATCH


def redeliver(deliveries: QuerySet[Delivery], *, user_id: int) -> int:
    """Have deliveries that ended, well or not, told once more; note who wanted it. Return how many."""
    ended = deliveries.exclude(state=Delivery.State.WAITING)
    with transaction.atomic():
        chosen = Delivery.objects.filter(pk__in=list(ended.select_for_update().values_list("pk", flat=True)))
        told = chosen.update(
            state=Delivery.State.WAITING,
            due_at=Now(),
            attempts=0,
            failure="",
            status_code=None,
            delivered_at=None,
        )
        LogEntry.objects.log_actions(user_id, chosen, CHANGE, change_message="Told again.")
    return told


def signature(secret: str, *, timestamp: int, body: bytes) -> str:
    """Return the header by which the receiver knows that it is us, and that the message is not an old one."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def _claim() -> list[Delivery]:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [LEASE_SECONDS, BATCH])
        ids = [row[0] for row in cursor.fetchall()]
    return list(Delivery.objects.filter(id__in=ids).select_related("subscription").order_by("id"))


def _bodies(deliveries: Sequence[Delivery]) -> list[bytes | None]:
    """Return the messages, in the words of the live feed; none for an order that is in the archive by now."""
    orders = Order.objects.in_bulk({delivery.order_id for delivery in deliveries})
    found = OrderEvent.objects.filter(order_id__in=orders)
    events: dict[tuple[int, int], OrderEvent] = {(event.order_id, event.sequence): event for event in found}
    return [
        Message.of_order_event(event, orders[d.order_id]).plain.encode() if event else None
        for d in deliveries
        for event in [events.get((d.order_id, d.sequence))]
    ]


def _tell(delivery: Delivery, body: bytes | None, timestamp: int) -> Outcome:
    subscription = delivery.subscription
    if body is None:
        return Outcome("failed", failure="the order is in the archive")
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "order-pipeline",
        # The same however often it is tried: the receiver knows by it what it has seen.
        "Webhook-Id": delivery.key,
        "Webhook-Signature": signature(subscription.secret, timestamp=timestamp, body=body),
    }
    if not subscription.active:
        return Outcome("failed", failure="the subscription is switched off")
    try:
        status = post(subscription.url, body, headers)
    except (NotAllowed, NotAnswered) as problem:
        return _try_later(delivery, str(problem), None)
    if 200 <= status < 300:
        return Outcome("delivered", status)
    return _try_later(delivery, f"it answered {status}", status)


def _try_later(delivery: Delivery, why: str, status: int | None) -> Outcome:
    if delivery.attempts >= settings.WEBHOOK_ATTEMPTS:
        return Outcome("failed", status, f"given up after {delivery.attempts} tries: {why}"[:200])
    wait = min(LONGEST_WAIT_SECONDS, 2.0 ** (delivery.attempts - 1))
    return Outcome("waiting", status, why[:200], due_in=wait)


def _settle(delivery: Delivery, outcome: Outcome) -> None:
    parameters: dict[str, Any] = {
        "id": delivery.pk,
        "attempts": delivery.attempts,
        "state": outcome.state,
        "status": outcome.status,
        "failure": outcome.failure,
        "due_in": outcome.due_in,
    }
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, parameters)
    if outcome.state == "failed":
        logger.warning(
            "The webhook %s to %s was given up: %s", delivery.key, delivery.subscription, outcome.failure
        )
