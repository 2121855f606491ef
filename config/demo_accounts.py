"""The demo's accounts, with public passwords."""

from django.contrib.auth.models import User
from django.db.models import QuerySet

NAMES = ("admin", "operator", "demo")
DOMAIN = "example.com"


def address_of(name: str) -> str:
    """Return the address that tells a demo account from a real user of that name."""
    return f"{name}@{DOMAIN}"


def switch_off() -> list[str]:
    """Deactivate the demo's accounts. Return the names that were active."""
    names = list(_accounts().filter(is_active=True).values_list("username", flat=True))
    _accounts().update(is_active=False)
    return sorted(names)


def switch_on() -> None:
    _accounts().update(is_active=True)


def _accounts() -> QuerySet[User]:
    return User.objects.filter(username__in=NAMES, email__in=[address_of(name) for name in NAMES])
