"""Forgetting what was told long ago. What is still to be told is never forgotten."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from notifications.models import MailCount

CHUNK = 5000
MOST_CHUNKS = 200

# The oldest rows by their key, which rises with time: what a run costs follows what there is to forget. The
# journal's reader is long past their events, so that nothing that is forgotten is told anew.
FORGET = """
    DELETE FROM {table} WHERE due_at IS NULL AND id IN (
        SELECT id FROM (SELECT id, created_at FROM {table} ORDER BY id LIMIT %s) AS oldest WHERE created_at < %s)
"""

# Nothing waits for as long as this: it was put off by a clock that was ahead, and was put right since.
WAITS_TOO_LONG = timedelta(days=1)
REJOIN = "UPDATE {table} SET due_at = now() WHERE due_at > %s"


def clean(*, now: datetime) -> dict[str, int]:
    """Delete old notifications and deliveries that are at rest, and counts of e-mails. Return how many of each.

    What is due long after it can be becomes due now.
    """
    for table in ("notifications_notification", "notifications_delivery"):
        _reschedule_from_the_future(table, now + WAITS_TOO_LONG)
    notifications, deliveries = settings.NOTIFICATION_DAYS, settings.DELIVERY_DAYS
    return {
        "notifications": _forget("notifications_notification", now - timedelta(days=notifications)),
        "mail_counts": MailCount.objects.filter(since__lt=now - timedelta(hours=1)).delete()[0],
        "deliveries": _forget("notifications_delivery", now - timedelta(days=deliveries)),
    }


def _reschedule_from_the_future(table: str, after: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(REJOIN.format(table=table), [after])


def _forget(table: str, before: datetime) -> int:
    forgotten = 0
    for _ in range(MOST_CHUNKS):
        with connection.cursor() as cursor:
            cursor.execute(FORGET.format(table=table), [CHUNK, before])
            forgotten += cursor.rowcount
            if not cursor.rowcount:
                break
    return forgotten
