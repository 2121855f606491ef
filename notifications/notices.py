"""E-mails about switched-off webhooks. A row without a timestamp is the retry."""

import logging

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.template.loader import render_to_string

from notifications.mail import Mail
from notifications.mailer import send
from notifications.models import Subscription
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable

logger = logging.getLogger(__name__)

BATCH = 50
SUBJECT = "Your webhook was switched off"
TEMPLATE = "notifications/webhook_switched_off"


def is_due() -> bool:
    return _waiting().exists()


def notify_owners() -> int:
    """Send one e-mail per subscription. Return how many are done."""
    done = 0
    for subscription in _waiting().select_related("owner")[:BATCH]:
        if not _notify(subscription):
            break  # the next tick retries
        # Unless switched on meanwhile.
        _waiting().filter(pk=subscription.pk).update(owner_notified_at=Now())
        done += 1
    return done


def _waiting() -> QuerySet[Subscription]:
    return Subscription.objects.filter(switched_off_at__isnull=False, owner_notified_at=None).order_by("id")


def _notify(subscription: Subscription) -> bool:
    """Whether it is done, also without an address or on refusal."""
    owner, at = subscription.owner, subscription.switched_off_at
    if owner is None or not owner.email or at is None:
        return True
    # Without PUBLIC_URL it is a path.
    address = f"{settings.PUBLIC_URL}/api/webhooks/{subscription.pk}"
    context = {"subscription": subscription, "address": address}
    text, html = (render_to_string(f"{TEMPLATE}.{form}", context) for form in ("txt", "html"))
    try:
        send(Mail(owner.email, SUBJECT, text, html), key=f"webhook:{subscription.pk}:{at.timestamp():.0f}")
    except ProviderRefused as refused:
        logger.warning("The e-mail about the subscription %s was refused: %s", subscription, refused)
    except (ProviderUnavailable, OutcomeUnknown):
        return False
    return True
