"""Account limits, cached by each process."""

import threading
import time

import structlog
from django.db import DatabaseError, transaction

from database.prepared import execute

logger = structlog.get_logger(__name__)

CACHE_SECONDS = 5.0
SCOPES = ("writes", "reads", "bulk_lines")
READ = f"SELECT user_id, {', '.join(SCOPES)} FROM limits_accountlimit"  # noqa: S608 - our own columns


class _Overrides:
    """Cache of all account limits: they are few."""

    def __init__(self) -> None:
        self._by_user: dict[int, dict[str, str]] = {}
        self._fresh_until = 0.0
        self._lock = threading.Lock()

    def of(self, user_id: int) -> dict[str, str]:
        if time.monotonic() >= self._fresh_until and self._lock.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._lock.release()
        return self._by_user.get(user_id, {})

    def _read(self) -> None:
        self._fresh_until = time.monotonic() + CACHE_SECONDS
        try:
            self._by_user = {
                user_id: dict(zip(SCOPES, rates, strict=True)) for user_id, *rates in execute(READ, [])
            }
        except DatabaseError:  # stale limits still apply; the request itself reports the database
            logger.warning("account_limits_unreadable")

    def forget(self) -> None:
        self._fresh_until = 0.0


_overrides = _Overrides()


def override_of(user_id: int | None, scope: str) -> str:
    """Return an account's rate, up to CACHE_SECONDS old; "" for the default."""
    return _overrides.of(user_id).get(scope, "") if user_id is not None else ""


def forget() -> None:
    """Invalidate the cache, now and on commit."""
    _overrides.forget()
    transaction.on_commit(_overrides.forget)
