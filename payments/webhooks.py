"""Webhooks of payment providers: deduplication, and what they report of our calls.

`PaymentGateway.parse_webhook` verifies and parses them. An event counts as one more answer to our call and passes
the ledger's guarded updates, so order, number and age of events do not matter.
"""

from datetime import datetime, timedelta

from django.db import connection

from payments.gateways.protocol import Event, Outcome
from payments.ledger import Kind
from payments.models import Transaction, WebhookEvent

LARGEST_BODY = 64 * 1024  # bytes
# Longer than any sender retries.
EVENTS_ARE_KEPT = timedelta(days=7)


def is_new(event: Event) -> bool:
    """Record an event; False for a duplicate. Waits for a concurrent insert."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_webhookevent (id, key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [event.id, event.key or event.reference],
        )
        return cursor.rowcount == 1


def late_outcome_of(event: Event, *, order_id: int) -> tuple[Transaction, Outcome] | None:
    """Return the transaction and the outcome that an event reports.

    None if we sent no such call, the amount differs, or the status is not final.
    """
    if event.kind not in Kind.values or event.outcome.kind not in ("succeeded", "declined"):
        return None
    # Without a key, the latest of the kind.
    by_key = {"key": event.key} if event.key else {}
    calls = Transaction.objects.filter(order_id=order_id, kind=event.kind, **by_key)
    entry = calls.order_by("-number").first()
    if entry is None or (entry.amount, entry.currency) != (event.amount, event.currency):
        return None
    return entry, event.outcome


def forget_before(moment: datetime) -> int:
    """Delete events received before `moment`. Return how many."""
    return int(WebhookEvent.objects.filter(received_at__lt=moment).delete()[0])
