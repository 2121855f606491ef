"""The limits of single accounts, as each process knows them: read once every few seconds, for all requests."""

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
    """All accounts with limits of their own. They are few, so that one read answers for every account."""

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
        except DatabaseError:  # what was known holds on; the request itself reports the database
            logger.warning("account_limits_unreadable")

    def forget(self) -> None:
        self._fresh_until = 0.0


_overrides = _Overrides()


def override_of(user_id: int | None, scope: str) -> str:
    """Return the rate that an operator set for an account; empty if the one for everybody holds.

    Other processes follow a change within `CACHE_SECONDS`.
    """
    return _overrides.of(user_id).get(scope, "") if user_id is not None else ""


def forget() -> None:
    """Have this process read the limits again before its next request, once the transaction has ended."""
    _overrides.forget()
    transaction.on_commit(_overrides.forget)
