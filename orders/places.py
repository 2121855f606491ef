"""Places for streams: each keeps a thread for as long as its client takes, so there are only so many in a process."""

import threading
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from api.problems import Problem

RETRY_AFTER_SECONDS = 5


class Places:
    """The places for streams of one kind, of which one account has a part at most."""

    def __init__(self, count: int, *, of_account: int) -> None:
        self._count, self._of_account = count, of_account
        self._taken = Counter[int]()
        self._lock = threading.Lock()

    def take(self, account: int) -> None:
        """Take a place; `keep` gives it back. Raises Problem if there is none, or the account has its part."""
        with self._lock:
            if self._taken[account] >= self._of_account:
                raise Problem(
                    "too_many_requests_at_once",
                    f"At most {self._of_account} of these at once. Wait until one of yours has ended.",
                    status_code=HTTPStatus.TOO_MANY_REQUESTS,
                    retry_after=RETRY_AFTER_SECONDS,
                )
            if self._taken.total() >= self._count:
                raise Problem(
                    "busy",
                    "Other requests like this are under way. Try again later.",
                    status_code=HTTPStatus.SERVICE_UNAVAILABLE,
                    retry_after=RETRY_AFTER_SECONDS,
                )
            self._taken[account] += 1

    def keep(self, account: int, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Return the pieces; when they end, or nobody reads on, the account's place is released."""

        def released_in_the_end() -> Iterator[bytes]:
            try:
                yield b""
                yield from pieces
            finally:
                self._release(account)

        started = released_in_the_end()
        next(started)  # Python runs the end of nothing but what was begun
        return started

    def _release(self, account: int) -> None:
        with self._lock:
            self._taken[account] -= 1
            if not self._taken[account]:
                del self._taken[account]


# Bulk intake takes most of a core, too. Nobody's upload closes the exports, and no customer's those of staff.
INTAKES = Places(3, of_account=2)
EXPORTS = Places(3, of_account=2)
EXPORTS_OF_STAFF = Places(3, of_account=2)
