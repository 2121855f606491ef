"""API schemas of notifications."""

from datetime import datetime

from api.responses import Answer
from notifications import mail
from notifications.models import Notification


class NotificationBody(Answer):
    """A notification of a customer."""

    id: int
    order_id: int
    order_number: str
    sequence: int
    kind: str
    subject: str
    channel: str
    recipient: str
    state: str
    failure: str | None
    created_at: datetime
    sent_at: datetime | None
    read_at: datetime | None


class NotificationPage(Answer):
    """Notifications, newest first."""

    next: str | None
    results: list[NotificationBody]


def body(notification: Notification) -> NotificationBody:
    """Serialize a notification. Its order must be loaded."""
    return NotificationBody(
        id=notification.pk,
        order_id=notification.order_id,
        order_number=notification.order.number,
        sequence=notification.sequence,
        kind=notification.kind,
        subject=mail.subject_of(notification),
        channel=notification.channel,
        recipient=notification.recipient,
        state=notification.state,
        failure=notification.failure or None,
        created_at=notification.created_at,
        sent_at=notification.sent_at,
        read_at=notification.read_at,
    )
