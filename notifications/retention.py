"""Deletes old notifications and deliveries, never pending ones."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from notifications.models import MailCount

CHUNK = 5000
MOST_CHUNKS = 200

# By primary key: the cost follows deleted rows. The reader has passed them, so none reappears.
DELETE = """
    DELETE FROM {table} WHERE due_at IS NULL AND id IN (
        SELECT id FROM (SELECT id, created_at FROM {table} ORDER BY id LIMIT %s) AS oldest WHERE created_at < %s)
"""

# A later due time came from a clock that was ahead.
WAITS_TOO_LONG = timedelta(days=1)
REJOIN = "UPDATE {table} SET due_at = now() WHERE due_at > %s"


def clean(*, now: datetime) -> dict[str, int]:
    """Delete old records. Return how many of each.

    Rows due impossibly late become due now.
    """
    for table in ("notifications_notification", "notifications_delivery"):
        _reschedule_from_the_future(table, now + WAITS_TOO_LONG)
    notifications, deliveries = settings.NOTIFICATION_DAYS, settings.DELIVERY_DAYS
    return {
        "notifications": _delete("notifications_notification", now - timedelta(days=notifications)),
        "mail_counts": MailCount.objects.filter(since__lt=now - timedelta(hours=1)).delete()[0],
        "deliveries": _delete("notifications_delivery", now - timedelta(days=deliveries)),
    }


def _reschedule_from_the_future(table: str, after: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(REJOIN.format(table=table), [after])


def _delete(table: str, before: datetime) -> int:
    deleted = 0
    for _ in range(MOST_CHUNKS):
        with connection.cursor() as cursor:
            cursor.execute(DELETE.format(table=table), [CHUNK, before])
            deleted += cursor.rowcount
            if not cursor.rowcount:
                break
    return deleted
