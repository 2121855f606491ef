"""The demo's accounts: their passwords and tokens are printed on the screen, so they work in a demo only."""

from django.contrib.auth.models import User
from django.db.models import QuerySet

NAMES = ("admin", "operator", "demo")
DOMAIN = "example.com"


def address_of(name: str) -> str:
    """Return the e-mail address by which a demo account is told from one that a person made under that name."""
    return f"{name}@{DOMAIN}"


def switch_off() -> list[str]:
    """Deactivate the demo's accounts, tokens and sessions with them. Return the names of those that were active."""
    names = list(_accounts().filter(is_active=True).values_list("username", flat=True))
    _accounts().update(is_active=False)
    return sorted(names)


def switch_on() -> None:
    """Activate them again: a demo that has been started lets anybody act anyway."""
    _accounts().update(is_active=True)


def _accounts() -> QuerySet[User]:
    return User.objects.filter(username__in=NAMES, email__in=[address_of(name) for name in NAMES])
