"""Sends the e-mails of the outbox."""

from collections.abc import Mapping
from functools import partial

from django.conf import settings
from django.db.models import Case, F, QuerySet, SmallIntegerField, When
from django.db.models.functions import Now

from notifications import outbox
from notifications.mail import Mail, compose
from notifications.mailer import send
from notifications.models import Channel, Notification, State
from notifications.outbox import Outbox, Outcome
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable

BATCH = 50
PATIENCE_SECONDS = 45.0
# Longer than three timeouts and their pauses.
MAILS = Outbox(Notification, sent=State.SENT, sent_at="sent_at", lease_seconds=120)


def is_due() -> bool:
    return Notification.objects.filter(due_at__lte=Now()).exists()


def deliver_batch() -> bool:
    """Send due e-mails. Return whether to call again at once."""
    claimed = MAILS.claim({0: BATCH})
    rows = list(Notification.objects.filter(id__in=claimed).select_related("order").order_by("id"))
    if not rows:
        return False
    mails = {row.pk: mail for row, mail in zip(rows, compose(rows), strict=True)}
    outcomes = MAILS.send(
        [[row] for row in rows], partial(_send, mails), pool="mails", patience=PATIENCE_SECONDS
    )
    return all(outcome.counts for outcome in outcomes)


def resend(notifications: QuerySet[Notification], *, user_id: int) -> int:
    """Queue e-mails again and log the user. Return how many."""
    ended = (State.FAILED, State.SENT, State.DROPPED)
    # A failed one may have arrived: its old key prevents a duplicate.
    issue = Case(
        When(state=State.SENT, then=F("issue") + 1), default=F("issue"), output_field=SmallIntegerField()
    )
    mails = notifications.filter(channel=Channel.EMAIL, state__in=ended)
    return MAILS.requeue(mails, user_id=user_id, note="Sent again.", issue=issue)


def _send(mails: Mapping[int, Mail], row: Notification) -> Outcome:
    try:
        send(mails[row.pk], key=row.key)
    except ProviderRefused as refused:
        # The provider accepted it from an older release with other text.
        if refused.code == "idempotency_conflict":
            return Outcome(State.SENT)
        return Outcome(State.FAILED, f"refused: {refused.code}"[:200])
    except ProviderUnavailable as failure:
        if failure.retry_after is not None:
            return outbox.defer(failure.reason, seconds=failure.retry_after)
        return outbox.retry(row, failure.reason, attempts=settings.EMAIL_ATTEMPTS)
    except OutcomeUnknown as unknown:
        return outbox.retry(row, unknown.reason, attempts=settings.EMAIL_ATTEMPTS)
    return Outcome(State.SENT)
