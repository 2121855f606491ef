"""E-mails and webhooks that were given up."""

from notifications.models import Delivery, Notification, State


def counts() -> dict[str, int]:
    """Return how many e-mails and webhooks were given up and not sent again since. Partial indexes hold no others."""
    return {
        "mail": Notification.objects.filter(state=State.FAILED).count(),
        "webhook": Delivery.objects.filter(state=Delivery.State.FAILED).count(),
    }
