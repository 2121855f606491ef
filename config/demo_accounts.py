"""The demo's accounts. Their passwords and tokens are printed, so they are active in a demo only."""

from django.contrib.auth.models import User
from django.db.models import QuerySet

NAMES = ("admin", "operator", "demo")
DOMAIN = "example.com"


def address_of(name: str) -> str:
    """Return the e-mail address that marks a demo account, as opposed to a real user of that name."""
    return f"{name}@{DOMAIN}"


def switch_off() -> list[str]:
    """Deactivate the demo's accounts, and so their tokens and sessions. Return the names that were active."""
    names = list(_accounts().filter(is_active=True).values_list("username", flat=True))
    _accounts().update(is_active=False)
    return sorted(names)


def switch_on() -> None:
    """Activate them again."""
    _accounts().update(is_active=True)


def _accounts() -> QuerySet[User]:
    return User.objects.filter(username__in=NAMES, email__in=[address_of(name) for name in NAMES])
