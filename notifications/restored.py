"""After the database was restored into another cluster: make its transaction numbers go on where they were.

The journal's readers, stored and connected, tell their place by transaction numbers. A new cluster counts from
the beginning, so what it appends would lie before their places and not be seen. Using numbers up until the new
cluster is past the old one's last keeps every place, and every event, as they are.
"""

from django.db import connection
from django.db.models import Max

from notifications.models import JournalCursor
from orders import journal
from orders.models import OrderEvent

STEP = 50_000
# A number that is used up is a commit with nothing in it; it need not reach the disk to have been used.
USE_UP = """
    DO $$ BEGIN
        FOR i IN 1..{count} LOOP
            PERFORM pg_current_xact_id();
            COMMIT;
        END LOOP;
    END $$
"""


def is_behind() -> bool:
    """Return whether a stored place lies ahead of every transaction of this cluster. Cheap."""
    furthest = JournalCursor.objects.aggregate(Max("transaction_id"))["transaction_id__max"] or 0
    return int(furthest) > journal.oldest_running()


def missing() -> int:
    """Return how many transaction numbers this cluster lacks. Reads the whole journal."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    last = OrderEvent.objects.aggregate(Max("transaction_id"))["transaction_id__max"] or 0
    furthest = JournalCursor.objects.aggregate(Max("transaction_id"))["transaction_id__max"] or 0
    return max(0, max(int(last), int(furthest)) + 1 - journal.oldest_running())


def catch_up(count: int) -> None:
    """Use up `count` transaction numbers, some ten thousand a second. Not inside a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET synchronous_commit = off")
        for done in range(0, count, STEP):
            cursor.execute(USE_UP.format(count=min(STEP, count - done)))
