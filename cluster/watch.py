"""Restarts a Patroni that has lost touch with the others for good.

After a partition of its node, its raft hears the others again and is still not answered (seen with pysyncobj 0.3.17).
A new start, which leaves PostgreSQL running, mends it; in a partition that lasts it changes nothing.
"""

import time
from collections.abc import Callable

import requests

POLL_SECONDS = 5.0
ANSWER_SECONDS = 1.0
# Longer than a leader is given before another is elected.
SILENT_SECONDS = 30.0


class PatroniWatch:
    """Looks every few seconds at the Patroni at `url`; calls `restart` when it has been out of touch for too long."""

    def __init__(
        self, url: str, restart: Callable[[], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._url, self._restart, self._clock = url, restart, clock
        self._since = self._next_look = clock()

    def __call__(self) -> None:
        """Look, if it is time to."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + POLL_SECONDS
        if now - max(self._since, self._last_seen()) > SILENT_SECONDS:
            self._since = now
            self._restart()

    def _last_seen(self) -> float:
        """Return when it last heard the others, by the clock; now if it does not say: it may be starting."""
        try:
            # Where PostgreSQL is not running it answers 503, and says it all the same.
            told = requests.get(f"{self._url}/health", timeout=ANSWER_SECONDS).json()
        except (requests.RequestException, ValueError):
            return self._clock()
        return float(told.get("dcs_last_seen") or self._clock())
