"""The limits of single accounts, as each process knows them: read once every few seconds, for all requests.

Authentication uses this, and is imported before there are any models: hence the model by its name.
"""

import threading
import time
from typing import TYPE_CHECKING

import structlog
from django.apps import apps
from django.db import DatabaseError, transaction

if TYPE_CHECKING:
    from limits.models import AccountLimit

logger = structlog.get_logger(__name__)

CACHE_SECONDS = 5.0


class _Overrides:
    """All accounts with limits of their own. They are few, so that one read answers for every account."""

    def __init__(self) -> None:
        self._by_user: dict[int, AccountLimit] = {}
        self._fresh_until = 0.0
        self._lock = threading.Lock()

    def of(self, user_id: int) -> "AccountLimit | None":
        if time.monotonic() >= self._fresh_until and self._lock.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._lock.release()
        return self._by_user.get(user_id)

    def _read(self) -> None:
        self._fresh_until = time.monotonic() + CACHE_SECONDS
        try:
            self._by_user = {
                limit.user_id: limit for limit in apps.get_model("limits", "AccountLimit").objects.all()
            }
        except DatabaseError:  # what was known holds on; the request itself reports the database
            logger.warning("account_limits_unreadable")

    def forget(self) -> None:
        self._fresh_until = 0.0


_overrides = _Overrides()


def override_of(user_id: int | None, scope: str) -> str:
    """Return the rate that an operator set for an account; empty if the one for everybody holds.

    Other processes follow a change within `CACHE_SECONDS`.
    """
    limit = _overrides.of(user_id) if user_id is not None else None
    return str(getattr(limit, scope, "")) if limit else ""


def forget() -> None:
    """Have this process read the limits again before its next request, once the transaction has ended."""
    _overrides.forget()
    transaction.on_commit(_overrides.forget)
