"""Sends e-mails. A row still due is the retry; its key prevents duplicates."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from notifications.mail import Mail, compose
from notifications.models import Channel, Notification, State
from providers.concurrency import concurrently
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import provider

logger = logging.getLogger(__name__)

BATCH = 50
# Longer than three timeouts and their pauses.
LEASE_SECONDS = 120
PATIENCE_SECONDS = 45.0
LONGEST_WAIT_SECONDS = 3600.0

CLAIM = """
    UPDATE notifications_notification
    SET attempts = attempts + 1, due_at = now() + %s * interval '1 second'
    WHERE id IN (
        SELECT id FROM notifications_notification n
        WHERE due_at <= now() AND NOT EXISTS (
            -- Keep each order's e-mails in sequence.
            SELECT FROM notifications_notification earlier
            WHERE earlier.order_id = n.order_id AND earlier.sequence < n.sequence AND earlier.state = 'waiting'
        )
        ORDER BY due_at LIMIT %s FOR UPDATE OF n SKIP LOCKED
    )
    RETURNING id
"""
SETTLE = """
    UPDATE notifications_notification
    SET state = %(state)s, failure = %(failure)s, attempts = attempts - %(uncounted)s,
        sent_at = CASE WHEN %(state)s = 'sent' THEN now() ELSE sent_at END,
        due_at = now() + %(due_in)s * interval '1 second'
    WHERE id = %(id)s AND issue = %(issue)s AND state = 'waiting'
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A try's outcome. `due_in` is seconds until the next; None: never."""

    state: State
    failure: str = ""
    due_in: float | None = None
    # calls refused by the open breaker do not count
    counts: bool = True

    @property
    def is_deferred(self) -> bool:
        """Whether the provider takes no mail now."""
        return not self.counts


def is_due() -> bool:
    """Return whether an e-mail is due."""
    return Notification.objects.filter(due_at__lte=Now()).exists()


def deliver_batch() -> bool:
    """Send due e-mails. Return whether to call again at once."""
    notifications = _claim()
    if not notifications:
        return False
    mails = compose(notifications)
    calls = [partial(_send, n, mail) for n, mail in zip(notifications, mails, strict=True)]
    done = concurrently(calls, patience=PATIENCE_SECONDS, on_late=_settler(notifications), pool="mails")
    for place, outcome in done.results.items():
        _settle(notifications[place], outcome)
    later = any(outcome.is_deferred for outcome in done.results.values())
    return not later


def resend(notifications: QuerySet[Notification], *, user_id: int) -> int:
    """Queue e-mails again and log the user. Return how many."""
    ended = (State.FAILED, State.SENT, State.DROPPED)
    mails = notifications.filter(channel=Channel.EMAIL, state__in=ended)
    again = {"state": State.WAITING, "due_at": Now(), "attempts": 0, "failure": ""}
    with transaction.atomic():
        chosen = list(mails.select_for_update(of=("self",)).values_list("pk", flat=True))
        rows = Notification.objects.filter(pk__in=chosen)
        # A failed one may have arrived: its old key prevents a duplicate.
        rows.filter(state=State.SENT).update(**again, issue=F("issue") + 1)
        rows.filter(state__in=(State.FAILED, State.DROPPED)).update(**again)
        LogEntry.objects.log_actions(user_id, rows, CHANGE, change_message="Sent again.")
    return len(chosen)


def _claim() -> list[Notification]:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [LEASE_SECONDS, BATCH])
        ids = [row[0] for row in cursor.fetchall()]
    return list(Notification.objects.filter(id__in=ids).select_related("order").order_by("id"))


def _send(notification: Notification, mail: Mail) -> Outcome:
    body = {"to": mail.to, "subject": mail.subject, "text": mail.text, "html": mail.html}
    try:
        provider("email").post("/messages", body, key=notification.key)
    except ProviderRefused as refused:
        # The provider accepted it from an older release with other text.
        if refused.code == "idempotency_conflict":
            return Outcome(State.SENT)
        return Outcome(State.FAILED, f"refused: {refused.code}"[:200])
    except (ProviderUnavailable, OutcomeUnknown) as failure:
        return _try_later(notification, failure)
    return Outcome(State.SENT)


def _try_later(notification: Notification, failure: ProviderUnavailable | OutcomeUnknown) -> Outcome:
    retry_after = failure.retry_after if isinstance(failure, ProviderUnavailable) else None
    if retry_after is not None:
        return Outcome(State.WAITING, failure.reason[:200], due_in=retry_after, counts=False)
    if notification.attempts >= settings.EMAIL_ATTEMPTS:
        return Outcome(State.FAILED, f"given up after {notification.attempts} tries: {failure.reason}"[:200])
    due_in = min(LONGEST_WAIT_SECONDS, 2.0 ** (notification.attempts - 1))
    return Outcome(State.WAITING, failure.reason[:200], due_in=due_in)


def _settler(notifications: Sequence[Notification]) -> Callable[[int, Outcome], None]:
    return lambda place, outcome: _settle(notifications[place], outcome)


def _settle(notification: Notification, outcome: Outcome) -> None:
    parameters: dict[str, Any] = {
        "id": notification.pk,
        "issue": notification.issue,
        "state": outcome.state.value,
        "failure": outcome.failure,
        "uncounted": int(not outcome.counts),
        "due_in": outcome.due_in,
    }
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, parameters)
    if outcome.state is State.FAILED:
        logger.warning("E-mail %s failed for good: %s", notification.key, outcome.failure)
