"""Forgetting what nobody needs any more. Orders and their journal are never forgotten here."""

from datetime import datetime, timedelta

from django.conf import settings

from orders.models import Batch, IdempotencyKey
from payments import webhooks
from scheduling import slots

BATCHES_ARE_KEPT = timedelta(days=7)
RUNS_ARE_KEPT = timedelta(days=2)


def clean(*, now: datetime) -> dict[str, int]:
    """Delete old idempotency keys, batches, webhook events and scheduled runs. Return how many of each."""
    keys_before = now - timedelta(days=settings.IDEMPOTENCY_KEY_DAYS)
    return {
        "idempotency keys": IdempotencyKey.objects.filter(created_at__lt=keys_before).delete()[0],
        "batches": Batch.objects.filter(started_at__lt=now - BATCHES_ARE_KEPT).delete()[0],
        "webhook events": webhooks.forget_before(now - webhooks.EVENTS_ARE_KEPT),
        "scheduled runs": slots.forget_before(now - RUNS_ARE_KEPT),
    }
