"""Limits on concurrent streams, each of which blocks a thread."""

import threading
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from api.problems import Problem

RETRY_AFTER_SECONDS = 5


class Places:
    """A limit in total and per account."""

    def __init__(self, count: int, *, of_account: int) -> None:
        self._count, self._of_account = count, of_account
        self._in_use, self._taken = 0, Counter[int]()
        self._lock = threading.Lock()

    def take(self, account: int) -> "Place":
        """Acquire a place. Raises Problem if there is none."""
        with self._lock:
            if self._taken[account] >= self._of_account:
                message = f"At most {self._of_account} of these at once. Wait until one of yours ends."
                raise _refusal("too_many_requests_at_once", message, HTTPStatus.TOO_MANY_REQUESTS)
            if self._in_use >= self._count:
                message = "Too many requests of this kind are in progress. Try again later."
                raise _refusal("busy", message, HTTPStatus.SERVICE_UNAVAILABLE)
            self._in_use += 1
            self._taken[account] += 1
        return Place(self, account)

    def free_total(self) -> None:
        with self._lock:
            self._in_use -= 1

    def release(self, account: int) -> None:
        with self._lock:
            self._taken[account] -= 1
            if not self._taken[account]:
                del self._taken[account]


class Place:
    def __init__(self, places: Places, account: int) -> None:
        self._places, self._account, self._is_counted = places, account, True

    def count_for_account_only(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._places.free_total()

    def release(self) -> None:
        self.count_for_account_only()
        self._places.release(self._account)

    def hold_during(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the pieces; release at their end or on disconnect."""

        def release_at_end() -> Iterator[bytes]:
            try:
                yield b""
                yield from pieces
            finally:
                self.release()

        started = release_at_end()
        next(started)  # else `finally` does not run
        return started


def _refusal(code: str, message: str, status: HTTPStatus) -> Problem:
    return Problem(code, message, status_code=status, retry_after=RETRY_AFTER_SECONDS)


# Separate: uploads do not block exports, nor customers staff. An intake takes most of a core.
INTAKES = Places(3, of_account=2)
EXPORTS = Places(3, of_account=2)
EXPORTS_OF_STAFF = Places(3, of_account=2)
