"""Refunds of parts as operators see them: the audit log's sentence."""

from django.contrib.admin.models import CHANGE, LogEntry

from orders.models import Credit, Order


def note_refund(order: Order, credit: Credit, *, user_id: int) -> None:
    """Log a refund of a part that was accepted."""
    because = f" ({credit.reason})" if credit.reason else ""
    message = f"Refund of {credit.amount} {order.currency}{because}: requested, number {credit.number}."
    LogEntry.objects.log_actions(user_id, Order.objects.filter(pk=order.pk), CHANGE, change_message=message)
