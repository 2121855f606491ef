"""Canary orders: real ones of a system account, hidden from users."""

import time

from django.contrib.auth.models import User
from django.db.models import QuerySet

from orders.models import Order

USERNAME = "canary"
# Cache of a missing account.
RECHECK_SECONDS = 30.0


class _Cache:
    owner_id: int | None = None
    until: float = 0.0


def owner_id() -> int | None:
    """Return the canary account's id, if it exists; cached."""
    if _Cache.owner_id is None and time.monotonic() >= _Cache.until:
        _Cache.owner_id = User.objects.filter(username=USERNAME).values_list("pk", flat=True).first()
        _Cache.until = time.monotonic() + RECHECK_SECONDS
    return _Cache.owner_id


def forget_owner() -> None:
    """Invalidate the cached account."""
    _Cache.owner_id, _Cache.until = None, 0.0


def left_out(orders: QuerySet[Order]) -> QuerySet[Order]:
    """Return the orders without canaries."""
    owner = owner_id()
    return orders if owner is None else orders.exclude(owner_id=owner)
