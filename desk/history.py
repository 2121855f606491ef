"""One history of an order: events, notes, operators' actions, e-mails and webhooks, by time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType

from desk.models import Note
from notifications.models import Channel, Delivery, Notification, Subscription
from notifications.models import State as MailState
from orders.models import Order, OrderEvent
from orders.reporting.wording import Entry as Event
from orders.reporting.wording import timeline
from orders.reporting.wording import title as event_title

MAIL_ENDED = (MailState.FAILED, MailState.SENT, MailState.DROPPED)
MOST = 500  # of each kind


@dataclass(frozen=True, slots=True)
class Item:
    at: datetime
    kind: str  # event, note, action, mail, webhook
    title: str
    who: str = ""
    text: str = ""
    details: Sequence[tuple[str, str]] = ()
    trouble: str = ""  # a traceback
    is_bad: bool = False
    again: int = 0  # id of the e-mail or delivery that may be sent again
    order: tuple[int, int] = field(default=(0, 0))  # among items of one moment

    @property
    def moment(self) -> str:
        return self.at.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def history(order_id: int, events: Sequence[OrderEvent], *, user: Any) -> list[Item]:
    """Return what happened to an order and may be seen by the user, oldest first."""
    items = [*_events(timeline(events)), *_notes(order_id), *_actions(order_id)]
    if user.has_perm("notifications.view_notification"):
        items += _mails(order_id, may_resend=user.has_perm("notifications.change_notification"))
    if user.has_perm("notifications.view_delivery"):
        items += _webhooks(order_id, may_redeliver=user.has_perm("notifications.change_delivery"))
    return sorted(items, key=lambda item: (item.at, item.order))


def _events(entries: Iterable[Event]) -> Iterator[Item]:
    for entry in entries:
        yield Item(
            entry.at,
            "event",
            entry.title,
            details=[("progress", f"{entry.progress} %"), *entry.details],
            trouble=entry.trouble,
            order=(0, entry.sequence),
        )


def _notes(order_id: int) -> Iterator[Item]:
    for note in Note.objects.filter(order_id=order_id)[:MOST]:
        yield Item(note.at, "note", "Note", who=note.author_name, text=note.text, order=(1, note.pk))


def _actions(order_id: int) -> Iterator[Item]:
    content_type = ContentType.objects.get_for_model(Order)
    entries = LogEntry.objects.filter(content_type=content_type, object_id=str(order_id))
    for entry in entries.select_related("user").order_by("pk")[:MOST]:
        yield Item(
            entry.action_time, "action", entry.get_change_message(), who=str(entry.user), order=(2, entry.pk)
        )


def _mails(order_id: int, *, may_resend: bool) -> Iterator[Item]:
    for mail in Notification.objects.filter(order_id=order_id).order_by("sequence")[:MOST]:
        is_mail = mail.channel == Channel.EMAIL
        what, state = "E-mail" if is_mail else "Notification", mail.get_state_display().lower()
        details = [("to", mail.recipient), ("failure", mail.failure), ("attempts", str(mail.attempts or ""))]
        yield Item(
            mail.sent_at or mail.created_at,
            "mail",
            f"{what} “{mail.get_kind_display()}”: {state}",
            details=[each for each in details if each[1]],
            is_bad=mail.state in (MailState.FAILED, MailState.DROPPED),
            again=mail.pk if may_resend and is_mail and mail.state in MAIL_ENDED else 0,
            order=(3, mail.pk),
        )


def _webhooks(order_id: int, *, may_redeliver: bool) -> Iterator[Item]:
    # The index begins with the subscription.
    subscriptions = Subscription.objects.in_bulk()
    found = Delivery.objects.filter(subscription_id__in=list(subscriptions), order_id=order_id)
    for delivery in found.order_by("sequence", "pk")[:MOST]:
        status = str(delivery.status_code or "")
        details = [
            ("to", subscriptions[delivery.subscription_id].url),
            ("status", status),
            ("failure", delivery.failure),
        ]
        is_over = delivery.state != Delivery.State.WAITING
        yield Item(
            delivery.delivered_at or delivery.created_at,
            "webhook",
            f"Webhook “{event_title(delivery.event)}”: {delivery.get_state_display().lower()}",
            details=[each for each in details if each[1]],
            is_bad=delivery.state == Delivery.State.FAILED,
            again=delivery.pk if may_redeliver and is_over else 0,
            order=(4, delivery.pk),
        )
