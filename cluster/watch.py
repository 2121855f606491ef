"""Restarts a Patroni whose raft stays disconnected.

After a partition its raft may get no answers (seen with pysyncobj 0.3.17). A restart, which keeps PostgreSQL running,
fixes that.
"""

import time
from collections.abc import Callable

import requests

POLL_SECONDS = 5.0
ANSWER_SECONDS = 1.0
# Longer than an election.
SILENT_SECONDS = 30.0


class PatroniWatch:
    """Polls the Patroni at `url`; calls `restart` when it is disconnected for too long."""

    def __init__(
        self, url: str, restart: Callable[[], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._url, self._restart, self._clock = url, restart, clock
        self._since = self._next_poll = clock()

    def __call__(self) -> None:
        now = self._clock()
        if now < self._next_poll:
            return
        self._next_poll = now + POLL_SECONDS
        if now - max(self._since, self._last_seen()) > SILENT_SECONDS:
            self._since = now
            self._restart()

    def _last_seen(self) -> float:
        """Return when Patroni last reached the DCS; now if unknown, as during a start."""
        try:
            # A 503, without PostgreSQL, has the field too.
            answer = requests.get(f"{self._url}/health", timeout=ANSWER_SECONDS).json()
        except (requests.RequestException, ValueError):
            return self._clock()
        return float(answer.get("dcs_last_seen") or self._clock())
