"""Tasks of the notifications worker, safe to run concurrently."""

import time

from celery import shared_task

from notifications import delivery, journal_reader, notices, retention, webhooks
from scheduling.slots import database_now, once_per_slot

# Well below the task's limit; the next tick continues.
RUN_SECONDS = 20.0


@shared_task(name="notifications.follow_journal")
def follow_journal(**_future: object) -> None:
    until = time.monotonic() + RUN_SECONDS
    while journal_reader.record_page() and time.monotonic() < until:
        pass
    if delivery.is_due():
        # If lost, the next tick finds the same rows due.
        deliver.apply_async(expires=30)
    if webhooks.is_due():
        deliver_webhooks.apply_async(expires=30)
    if notices.is_due():
        notify_owners.apply_async(expires=30)


@shared_task(name="notifications.deliver", soft_time_limit=110, time_limit=120)
def deliver(**_future: object) -> None:
    until = time.monotonic() + RUN_SECONDS
    while delivery.deliver_batch() and time.monotonic() < until:
        pass


@shared_task(name="notifications.deliver_webhooks", soft_time_limit=110, time_limit=120)
def deliver_webhooks(**_future: object) -> None:
    until = time.monotonic() + RUN_SECONDS
    while webhooks.deliver_batch() and time.monotonic() < until:
        pass


@shared_task(name="notifications.notify_owners", soft_time_limit=110, time_limit=120)
def notify_owners(**_future: object) -> None:
    notices.notify_owners()


@shared_task(name="notifications.clean", soft_time_limit=280, time_limit=300)
def clean(**_future: object) -> None:
    """Delete old records, once an hour."""
    now = database_now()
    once_per_slot(
        name="cleaning of notifications", interval=3600, work=lambda: retention.clean(now=now), now=now
    )
