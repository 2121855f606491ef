"""A circuit breaker per provider, shared by all processes: after enough failures, ask nobody for a while.

closed -> open       when at least half of the last 20 seconds' calls failed, and there were ten
open -> half open    when its pause is over: exactly one call goes through, the probe
half open -> closed  when the probe succeeds; else open again, twice as long each time, up to a minute

The state lives in Valkey and changes in Lua by Valkey's clock, so all processes see one breaker. Without
Valkey every call goes through: a breaker is a courtesy and must not become a cause of failure itself.
"""

import functools
import logging
import os
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from django.conf import settings

from providers.shared import shared_memory

logger = logging.getLogger(__name__)

ADMIT = (Path(__file__).parent / "admit.lua").read_text()
RECORD = (Path(__file__).parent / "record.lua").read_text()
INVITE = """
if redis.call('HGET', KEYS[1], 'state') == 'open' then
  redis.call('HSET', KEYS[1], 'retry_at', redis.call('TIME')[1])
end
"""

# A process believes for so long that a breaker is still closed, and saves up its good news meanwhile: a
# healthy provider costs some round trips to Valkey a second instead of two for each call.
CACHE_SECONDS = 0.25


@dataclass(frozen=True)
class Policy:
    """When a breaker opens, and how it closes again. Times in seconds."""

    slot: float = 2  # the window is forgotten in steps of so long ...
    slots: int = 10  # ... and is so many steps long
    calls: int = 10  # fewer say nothing about a rate
    failure_rate: float = 0.5
    first_pause: float = 10
    longest_pause: float = 60
    calm: float = 60  # closed for so long, and the next pause is the first again
    probe_patience: float = 15  # a probe that has not reported by then is lost; must exceed a call's timeout
    ramp: float = 5  # after closing, calls come back over so long ...
    first_allowance: int = 20  # ... so many in the first second, and twice as many in each one after


@dataclass(frozen=True)
class Admission:
    """Leave to call, or not."""

    allowed: bool
    probe: str = ""  # the name of the one call that finds out for all
    retry_after: float = 0.0  # seconds until the next chance, for a call that was refused
    calls: int = 1  # that may go through, of those that were to


@dataclass(frozen=True)
class BreakerState:
    """For people: what a breaker is doing and why."""

    name: str
    state: str  # closed | open | half_open | unknown (Valkey cannot say)
    failures: int = 0  # of the window's calls; of one that is not closed, of those that opened it
    calls: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None


class Breaker:
    """One provider's breaker, as one process sees it."""

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self._policy = policy
        # The braces keep both on one node of a cluster.
        self._keys = [f"breaker:{{{name}}}", f"breaker:{{{name}}}:window"]
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._saved = 0
        self._told_at = 0.0

    def admit(self, calls: int = 1) -> Admission:
        """Return how many of so many calls may be made. Each that is admitted is reported with `record`."""
        if time.monotonic() < self._closed_until:
            return Admission(allowed=True, calls=calls)
        probe, policy = secrets.token_hex(8), self._policy
        args = [
            probe,
            policy.probe_patience,
            policy.ramp,
            policy.first_allowance,
            policy.longest_pause,
            calls,
        ]
        otherwise: list[Any] = ["unknown", "0", calls]
        verdict, wait, granted = shared_memory().run(ADMIT, keys=self._keys, args=args, otherwise=otherwise)
        if verdict == "closed":
            self._closed_until = time.monotonic() + CACHE_SECONDS
        probe = probe if verdict == "probe" else ""
        allowed = verdict != "refused"
        return Admission(allowed, probe, retry_after=float(wait), calls=int(granted) if allowed else 0)

    def record(self, admission: Admission, *, ok: bool) -> None:
        """Record how an admitted call went. Bad news travels at once, good news in small batches."""
        self.record_all(successes=int(ok), failures=int(not ok), probe=admission.probe)

    def record_all(self, *, successes: int, failures: int, probe: str = "") -> None:
        """Record how several admitted calls went."""
        with self._lock:
            now = time.monotonic()
            # Successes that nobody asked about for long belong to a window that is over.
            saved = self._saved if now - self._told_at < self._policy.slot else 0
            if not failures and not probe and now - self._told_at < CACHE_SECONDS:
                self._saved = saved + successes
                return
            self._saved, self._told_at = 0, now
        self._tell(probe=probe, successes=saved + successes, failures=failures)

    def invite(self) -> None:
        """The provider seems well again: the next call may probe without waiting out the pause."""
        shared_memory().run(INVITE, keys=self._keys, args=[], otherwise=None)

    def reset(self) -> None:
        """Close it and forget everything, as if it had never opened."""
        shared_memory().ask(lambda valkey: valkey.delete(*self._keys), otherwise=0)
        self._closed_until = 0.0

    def state(self) -> BreakerState:
        return shared_memory().ask(self._read, otherwise=BreakerState(self.name, "unknown"))

    # Inner workings

    def _tell(self, *, probe: str, successes: int, failures: int) -> None:
        policy = self._policy
        args = [probe, successes, failures, policy.slot, policy.slots, policy.calls, policy.failure_rate]
        args += [policy.first_pause, policy.longest_pause, policy.calm]
        before, after = shared_memory().run(
            RECORD, keys=self._keys, args=args, otherwise=["closed", "closed"]
        )
        if after != "closed":
            self._closed_until = 0.0
        if after != before:
            logger.warning("The breaker of %s went from %s to %s.", self.name, before, after)

    def _read(self, valkey: redis.Redis) -> BreakerState:
        reading = valkey.pipeline(transaction=False)
        reading.hgetall(self._keys[0])
        reading.hgetall(self._keys[1])
        reading.time()
        state, window, (now, _) = reading.execute()
        latest = now // self._policy.slot
        oldest = latest - self._policy.slots
        counts = {"calls": 0, "failures": 0}
        for name, count in window.items():
            slot, _, what = name.partition(":")
            counts[what] += int(count) if oldest < int(slot) <= latest else 0
        if state.get("state", "closed") != "closed":
            counts = {what: int(state.get(what, 0)) for what in counts}
        return BreakerState(
            name=self.name,
            state=state.get("state", "closed"),
            opened_at=_moment(state.get("opened_at")),
            retry_at=_moment(state.get("retry_at")),
            **counts,
        )


def breaker(name: str) -> Breaker:
    """The breaker of a provider, with the policy of all of them."""
    return _breaker(name, settings.EXTERNAL_TIMEOUT_SECONDS, os.getpid())


def all_states() -> list[BreakerState]:
    """Every provider's, for the status page."""
    return [breaker(name).state() for name in settings.PROVIDERS]


@functools.lru_cache(maxsize=32)
def _breaker(name: str, timeout: float, pid: int) -> Breaker:  # noqa: ARG001 - each process has its own beliefs
    return Breaker(name, Policy(probe_patience=timeout + 5))


def _moment(seconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(float(seconds), UTC) if seconds else None
