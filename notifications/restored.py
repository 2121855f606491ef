"""Advances a restored cluster's transaction numbers.

Journal cursors, stored and at clients, hold transaction numbers. A new cluster starts over: its events would
sort before the cursors and stay unseen. Burning numbers keeps them valid.
"""

from django.db import connection
from django.db.models import Max

from notifications.models import JournalCursor
from orders import journal
from orders.models import OrderEvent

STEP = 50_000
# Empty commits need not reach the disk.
USE_UP = """
    DO $$ BEGIN
        FOR i IN 1..{count} LOOP
            PERFORM pg_current_xact_id();
            COMMIT;
        END LOOP;
    END $$
"""


def is_behind() -> bool:
    """Whether a cursor is ahead. Cheap."""
    furthest = JournalCursor.objects.aggregate(Max("transaction_id"))["transaction_id__max"] or 0
    return int(furthest) > journal.oldest_running()


def missing() -> int:
    """Return the missing transaction numbers. Reads the whole journal."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    last = OrderEvent.objects.aggregate(Max("transaction_id"))["transaction_id__max"] or 0
    furthest = JournalCursor.objects.aggregate(Max("transaction_id"))["transaction_id__max"] or 0
    return max(0, max(int(last), int(furthest)) + 1 - journal.oldest_running())


def catch_up(count: int) -> None:
    """Burn transaction numbers, some ten thousand a second. Not inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET synchronous_commit = off")
        for done in range(0, count, STEP):
            cursor.execute(USE_UP.format(count=min(STEP, count - done)))
