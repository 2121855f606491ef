"""The language of customers' texts: the order's own, else the shop's."""

from django.conf import settings

from orders.models import Order


def supported(tag: str) -> str:
    """Return the language that we have for a BCP 47 tag, by its first subtag; empty if none."""
    language = tag.lower().partition("-")[0]
    return language if language in dict(settings.LANGUAGES) else ""


def language_of(order: Order) -> str:
    return supported(order.language) or str(settings.SHOP_LANGUAGE)
