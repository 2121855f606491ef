"""A provider's rate limit, shared by all processes; per process while Valkey is away."""

import time
from pathlib import Path

from django.conf import settings

from providers.shared import shared_memory

TAKE = (Path(__file__).parent / "rate.lua").read_text()


class Rate:
    """A provider's limit on calls per second. Without one: any number."""

    def __init__(self, name: str) -> None:
        self._limit = settings.PROVIDER_RATE_LIMITS.get(name, 0.0)
        self._key = f"rate:{name}"
        self._next_call = 0.0  # while Valkey is away
        self.not_before = 0.0  # monotonic: no calls before then

    def take(self, calls: int, *, now: float) -> int:
        """Return how many of `calls` may be made now; the others after `not_before`."""
        if not self._limit or not calls:
            return calls
        if now < self.not_before:
            return 0
        nothing: tuple[int, str] | None = None
        found = shared_memory().run(TAKE, keys=[self._key], args=[self._limit, calls], otherwise=nothing)
        granted, wait = (int(found[0]), float(found[1])) if found else self._take_alone(now)
        if granted < calls:
            self.not_before = time.monotonic() + max(0.005, wait)
        return granted

    def _take_alone(self, now: float) -> tuple[int, float]:
        granted = int(now >= self._next_call)
        if granted:
            self._next_call = now + 1 / self._limit
        return granted, self._next_call - now
