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
        self._in_use, self._taken = 0, Counter[int]()
        self._lock = threading.Lock()

    def take(self, account: int) -> "Place":
        """Take a place. Raises Problem if there is none, or the account has its part."""
        with self._lock:
            if self._taken[account] >= self._of_account:
                message = f"At most {self._of_account} of these at once. Wait until one of yours has ended."
                raise _refusal("too_many_requests_at_once", message, HTTPStatus.TOO_MANY_REQUESTS)
            if self._in_use >= self._count:
                message = "Other requests like this are under way. Try again later."
                raise _refusal("busy", message, HTTPStatus.SERVICE_UNAVAILABLE)
            self._in_use += 1
            self._taken[account] += 1
        return Place(self, account)

    def make_room(self) -> None:
        """Let somebody else have a place; the account's part stays taken."""
        with self._lock:
            self._in_use -= 1

    def release(self, account: int) -> None:
        """Let the account have another one."""
        with self._lock:
            self._taken[account] -= 1
            if not self._taken[account]:
                del self._taken[account]


class Place:
    """A place that was taken."""

    def __init__(self, places: Places, account: int) -> None:
        self._places, self._account, self._is_counted = places, account, True

    def leave_to_others(self) -> None:
        """Keep nobody else waiting any more; it counts as the account's until it is released."""
        if self._is_counted:
            self._is_counted = False
            self._places.make_room()

    def release(self) -> None:
        """Give it up."""
        self.leave_to_others()
        self._places.release(self._account)

    def keep_for(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Return the pieces; when they end, or nobody reads on, the place is released."""

        def released_in_the_end() -> Iterator[bytes]:
            try:
                yield b""
                yield from pieces
            finally:
                self.release()

        started = released_in_the_end()
        next(started)  # Python runs the end of nothing but what was begun
        return started


def _refusal(code: str, message: str, status: HTTPStatus) -> Problem:
    return Problem(code, message, status_code=status, retry_after=RETRY_AFTER_SECONDS)


# Bulk intake takes most of a core, too. Nobody's upload closes the exports, and no customer's those of staff.
INTAKES = Places(3, of_account=2)
EXPORTS = Places(3, of_account=2)
EXPORTS_OF_STAFF = Places(3, of_account=2)
