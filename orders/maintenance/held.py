"""Expiry of held orders, which would pile up."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from orders import commands

REASON = "held_too_long"
TOO_OLD = """
    SELECT j.order_id FROM orders_journey j JOIN orders_order o ON o.id = j.order_id
    WHERE j.status = 'pending' AND j.due_at IS NULL AND o.placed_at < %s ORDER BY j.order_id LIMIT %s
"""


def expire(*, now: datetime) -> int:
    """Cancel orders held beyond HELD_ORDER_DAYS (0: never). Return how many."""
    if not settings.HELD_ORDER_DAYS:
        return 0
    before, expired = now - timedelta(days=settings.HELD_ORDER_DAYS), 0
    while order_ids := _too_old(before):
        expired += commands.cancel_held_orders(order_ids=order_ids, reason=REASON)
    return expired


def _too_old(before: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(TOO_OLD, [before, commands.AT_ONCE])
        return [order_id for (order_id,) in cursor.fetchall()]
