"""Deletion of expired records. Orders are only ever archived."""

import time
from datetime import datetime, timedelta

from django.conf import settings

from accounts import tokens
from api.models import IdempotencyKey
from orders.maintenance import archive, held
from orders.models import Batch, StepRun
from orders.waits import shortages
from payments import webhooks
from scheduling import slots

BATCHES_ARE_KEPT = timedelta(days=7)
RUNS_ARE_KEPT = timedelta(days=2)
# Time budget of a run.
ARCHIVING_SECONDS = 20.0


def clean(*, now: datetime) -> dict[str, int]:
    """Cancel expired held orders; delete expired records. Return how many of each."""
    keys_before = now - timedelta(days=settings.IDEMPOTENCY_KEY_DAYS)
    return {
        "orders on hold": held.expire(now=now),
        "orders queued for stock": shortages.forget_served(),
        "idempotency keys": IdempotencyKey.objects.filter(created_at__lt=keys_before).delete()[0],
        "steps of batches": StepRun.objects.filter(began_at__lt=now - BATCHES_ARE_KEPT).delete()[0],
        "batches": Batch.objects.filter(started_at__lt=now - BATCHES_ARE_KEPT).delete()[0],
        "webhook events": webhooks.forget_before(now - webhooks.EVENTS_ARE_KEPT),
        "API tokens": tokens.clean(now=now),
        "scheduled runs": slots.forget_before(now - RUNS_ARE_KEPT),
    }


def archive_some(*, now: datetime) -> str:
    """Archive old orders, at half load. Return a summary."""
    before = archive.months_before(now, settings.ARCHIVE_AFTER_MONTHS)
    orders, end = 0, time.monotonic() + ARCHIVING_SECONDS
    for moved in archive.move(before=before):
        orders += moved.months.total()
        if time.monotonic() > end:
            return f"{orders} orders archived, and there may be more"
        time.sleep(moved.seconds)
    return f"{orders} orders archived"
