"""Follows the journal, and puts on record what customers are to be told: each event exactly once.

The records, the counts of events and the reader's place move in one transaction, so a crash repeats a page and
changes nothing.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from notifications import event_counters, webhooks
from notifications.models import Channel, JournalCursor, Kind, State
from orders import canary_account, journal
from orders.journal import FeedEvent
from orders.workflow import EventType

CURSOR = "notifications"
PAGE = 1000

TOLD: dict[str, Kind] = {
    EventType.CONFIRMED: Kind.CONFIRMED,
    EventType.REJECTED: Kind.REJECTED,
    EventType.CANCELLED: Kind.CANCELLED,
}

RECORD = """
    INSERT INTO notifications_notification
        (order_id, sequence, owner_id, kind, recipient, channel, state, due_at)
    SELECT e.order_id, e.sequence, o.owner_id, e.kind, o.email,
        CASE WHEN o.email = '' THEN %(none)s ELSE %(email)s END,
        CASE WHEN o.email = '' THEN %(recorded)s ELSE %(waiting)s END,
        CASE WHEN o.email = '' THEN NULL ELSE now() END
    FROM unnest(%(order_ids)s::bigint[], %(sequences)s::int[], %(kinds)s::text[])
        AS e(order_id, sequence, kind)
    JOIN orders_order o ON o.id = e.order_id
    ORDER BY e.order_id, e.sequence
    ON CONFLICT (order_id, sequence) DO NOTHING
"""


def record_page() -> int:
    """Deal with the next page of the journal, and return how many events it had.

    Zero: there is nothing more for now, or another worker is at it.
    """
    JournalCursor.objects.get_or_create(name=CURSOR)
    with transaction.atomic():
        cursor = JournalCursor.objects.select_for_update(skip_locked=True).filter(name=CURSOR).first()
        if cursor is None:
            return 0
        events = journal.follow(cursor.position, limit=PAGE)
        customers = [event for event in events if event.owner_id != canary_account.owner_id()]
        event_counters.count(customers)
        webhooks.record(customers)
        _record([event for event in customers if event.type in TOLD])
        if events:
            cursor.move_to(events[-1].position)
    return len(events)


def _record(events: Sequence[FeedEvent]) -> None:
    if not events:
        return
    parameters: dict[str, Any] = {
        "none": Channel.NONE.value,
        "email": Channel.EMAIL.value,
        "recorded": State.RECORDED.value,
        "waiting": State.WAITING.value,
        "order_ids": [event.order_id for event in events],
        "sequences": [event.sequence for event in events],
        "kinds": [TOLD[event.type].value for event in events],
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD, parameters)
