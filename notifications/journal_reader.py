"""Records notifications from the journal, exactly once per event.

Notifications, counts and cursor move in one transaction: a crash repeats a page without effect.
"""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from notifications import event_counters, transitions, webhooks
from notifications.kinds import AFTER, KINDS, PROVISIONAL, REFUND_INSTEAD_OF
from notifications.models import Channel, JournalCursor, Kind, State
from orders import journal, queries
from orders.journal import FeedEvent

CURSOR = "notifications"
PAGE = 1000

# Confirmed orders make their address known. Runs first: RECORD reads it.
CONFIRM = """
    INSERT INTO notifications_confirmedaddress (owner_id, address)
    SELECT DISTINCT o.owner_id, lower(o.email)
    FROM unnest(%(order_ids)s::bigint[], %(kinds)s::text[]) AS e(order_id, kind)
    JOIN orders_order o ON o.id = e.order_id AND o.email <> ''
    WHERE e.kind = %(confirmed)s
    ON CONFLICT DO NOTHING
"""
# Anyone may enter any address: e-mails of unpaid orders go only to known addresses, and all have hourly
# limits.
RECORD = """
    WITH counts AS NOT MATERIALIZED (
        SELECT name, mails FROM notifications_mailcount WHERE since > now() - interval '1 hour'
    ), told AS (
        SELECT e.order_id, e.sequence, o.owner_id, o.email, lower(o.email) AS address,
            CASE WHEN e.kind = %(replaced)s AND EXISTS (
                SELECT FROM orders_orderevent v
                WHERE v.order_id = e.order_id AND v.sequence < e.sequence AND v.type = %(after)s)
            THEN %(refunded)s ELSE e.kind END AS kind,
            e.kind = ANY(%(provisional)s::text[]) AS is_provisional,
            e.kind = %(confirmed)s OR e.kind = ANY(%(to_all)s::text[]) OR lower(u.email) = lower(o.email) OR EXISTS (
                SELECT FROM notifications_confirmedaddress c
                WHERE c.owner_id = o.owner_id AND c.address = lower(o.email)) AS is_known
        FROM unnest(%(order_ids)s::bigint[], %(sequences)s::int[], %(kinds)s::text[])
            AS e(order_id, sequence, kind)
        JOIN orders_order o ON o.id = e.order_id AND (o.email <> '' OR e.kind <> ALL(%(provisional)s::text[]))
        LEFT JOIN auth_user u ON u.id = o.owner_id
        WHERE NOT EXISTS (SELECT FROM notifications_notification n
                          WHERE n.order_id = e.order_id AND n.sequence = e.sequence)
    ), by_address AS (
        SELECT t.*, %(per_recipient)s = 0 OR coalesce(c.mails, 0) + count(*) FILTER (WHERE is_known)
            OVER (PARTITION BY address ORDER BY order_id, sequence) <= %(per_recipient)s AS fits_address
        FROM told t LEFT JOIN counts c ON c.name = 'to ' || t.address
    ), by_account AS (
        SELECT a.*, %(per_account)s = 0 OR coalesce(c.mails, 0)
            + count(*) FILTER (WHERE email <> '' AND is_known AND fits_address)
            OVER (PARTITION BY owner_id ORDER BY order_id, sequence) <= %(per_account)s AS fits_account
        FROM by_address a LEFT JOIN counts c ON c.name = 'by ' || a.owner_id
    ), decided AS (
        SELECT *, CASE
            WHEN email = '' THEN ''
            WHEN NOT coalesce(is_known, false) THEN 'no order of this account was confirmed to this address'
            WHEN NOT fits_address THEN 'too many e-mails to this address within an hour'
            WHEN NOT fits_account THEN 'too many e-mails of this account within an hour'
            ELSE '' END AS obstacle
        FROM by_account
    ), counted AS (
        INSERT INTO notifications_mailcount AS m (name, since, mails)
        SELECT 'to ' || address, now(), count(*) FROM decided
        WHERE email <> '' AND obstacle = '' AND %(per_recipient)s > 0 GROUP BY 1
        UNION ALL SELECT 'by ' || owner_id, now(), count(*) FROM decided
        WHERE email <> '' AND obstacle = '' AND %(per_account)s > 0 GROUP BY 1
        ON CONFLICT (name) DO UPDATE SET
            mails = excluded.mails + CASE WHEN m.since > now() - interval '1 hour' THEN m.mails ELSE 0 END,
            since = CASE WHEN m.since > now() - interval '1 hour' THEN m.since ELSE now() END
    )
    INSERT INTO notifications_notification
        (order_id, sequence, owner_id, kind, recipient, channel, state, failure, due_at)
    SELECT order_id, sequence, owner_id, kind, email,
        CASE WHEN email = '' THEN %(none)s ELSE %(email)s END,
        CASE WHEN email = '' THEN %(recorded)s WHEN obstacle <> '' THEN %(dropped)s ELSE %(waiting)s END,
        obstacle,
        CASE WHEN email = '' OR obstacle <> '' THEN NULL
            WHEN is_provisional THEN now() + %(delay)s * interval '1 second' ELSE now() END
    FROM decided
    WHERE obstacle = '' OR NOT is_provisional
    ORDER BY order_id, sequence
    ON CONFLICT (order_id, sequence) DO NOTHING
"""
# A provisional e-mail that no try has begun is pointless after a later event.
SUPERSEDE = """
    DELETE FROM notifications_notification
    WHERE order_id = ANY(%(superseded)s::bigint[]) AND kind = ANY(%(provisional)s::text[])
      AND state = %(waiting)s AND attempts = 0
"""


def record_page() -> int:
    """Process a page of the journal, and return its number of events.

    Zero: no events for now, or another worker holds the cursor.
    """
    JournalCursor.objects.get_or_create(name=CURSOR)
    with transaction.atomic():
        cursor = JournalCursor.objects.select_for_update(skip_locked=True).filter(name=CURSOR).first()
        if cursor is None:
            return 0
        events = journal.follow(cursor.position, limit=PAGE)
        customers = [event for event in events if event.owner_id != queries.canary_owner_id()]
        event_counters.count(customers)
        webhooks.record(customers)
        _record([event for event in customers if event.type in KINDS])
        if events:
            cursor.move_to(events[-1].position)
    transitions.log(customers, is_behind=len(events) == PAGE)
    return len(events)


def _record(events: Sequence[FeedEvent]) -> None:
    later = {event.order_id for event in events if KINDS[event.type] not in PROVISIONAL}
    events = [e for e in events if KINDS[e.type] not in PROVISIONAL or e.order_id not in later]
    if not events:
        return
    to_all = PROVISIONAL if settings.RECEIPTS_TO_NEW_ADDRESSES else ()
    parameters: dict[str, Any] = {
        "none": Channel.NONE.value,
        "email": Channel.EMAIL.value,
        "recorded": State.RECORDED.value,
        "waiting": State.WAITING.value,
        "dropped": State.DROPPED.value,
        "confirmed": Kind.CONFIRMED.value,
        "refunded": Kind.REFUNDED.value,
        "replaced": REFUND_INSTEAD_OF.value,
        "after": AFTER.value,
        "provisional": [kind.value for kind in PROVISIONAL],
        "to_all": [kind.value for kind in to_all],
        "delay": settings.RECEIPT_DELAY_SECONDS,
        "superseded": list(later),
        "per_recipient": settings.MAILS_PER_RECIPIENT_PER_HOUR,
        "per_account": settings.MAILS_PER_ACCOUNT_PER_HOUR,
        "order_ids": [event.order_id for event in events],
        "sequences": [event.sequence for event in events],
        "kinds": [KINDS[event.type].value for event in events],
    }
    with connection.cursor() as cursor:
        cursor.execute(CONFIRM, parameters)
        cursor.execute(RECORD, parameters)
        if later:
            cursor.execute(SUPERSEDE, parameters)
