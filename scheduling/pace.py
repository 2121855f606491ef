"""How often a process polls."""

import time


class Pace:
    """Admits at most one poll in a period, the first at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._next = seconds, 0.0

    def is_due(self) -> bool:
        """Return whether to poll now; the next is due after the pause, by the monotonic clock."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
