"""A circuit breaker per provider, shared by all processes.

closed -> open: at least half of the last 20 seconds' calls failed, of ten or more
open -> half open: its pause is over, and exactly one call goes through, the probe
half open -> closed: the probe succeeded; else open again, twice as long, up to a minute

State lives in Valkey and changes in Lua by Valkey's clock. Without Valkey every call goes through: the
breaker must not cause failures itself.
"""

import logging
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
from runtime.per_process import per_process

logger = logging.getLogger(__name__)

ADMIT = (Path(__file__).parent / "admit.lua").read_text()
RECORD = (Path(__file__).parent / "record.lua").read_text()
INVITE = """
if redis.call('HGET', KEYS[1], 'state') == 'open' then
  redis.call('HSET', KEYS[1], 'retry_at', redis.call('TIME')[1])
end
"""

# Saves two round trips per call.
CACHE_SECONDS = 0.25


@dataclass(frozen=True)
class Policy:
    """When a breaker opens and closes. Times in seconds."""

    slot: float = 2  # the window's resolution ...
    slots: int = 10  # ... and its length in slots
    calls: int = 10  # fewer give no meaningful rate
    failure_rate: float = 0.5
    first_pause: float = 10
    longest_pause: float = 60
    calm: float = 60  # closed this long, the next pause is the first again
    probe_patience: float = 15  # later a probe counts as lost; must exceed a call's timeout
    ramp: float = 5  # after closing, traffic grows over this time
    first_allowance: int = 20  # calls in the ramp's first second; doubles each second


@dataclass(frozen=True)
class Admission:
    allowed: bool
    probe: str = ""
    retry_after: float = 0.0  # seconds until the next chance, if refused
    calls: int = 1


@dataclass(frozen=True)
class BreakerState:
    name: str
    state: str  # closed | open | half_open | unknown (no Valkey)
    failures: int = 0  # in the window; if not closed, those that opened it
    calls: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None


class Breaker:
    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self._policy = policy
        self._keys = [f"breaker:{{{name}}}", f"breaker:{{{name}}}:window"]
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._unreported = 0
        self._reported_at = 0.0

    def admit(self, calls: int = 1) -> Admission:
        """Return how many of `calls` may be made. Report each admitted one with `record`."""
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
        """Record a call: failures at once, successes in batches."""
        self.record_all(successes=int(ok), failures=int(not ok), probe=admission.probe)

    def record_all(self, *, successes: int, failures: int, probe: str = "") -> None:
        with self._lock:
            now = time.monotonic()
            unreported = self._unreported if now - self._reported_at < self._policy.slot else 0
            if not failures and not probe and now - self._reported_at < CACHE_SECONDS:
                self._unreported = unreported + successes
                return
            self._unreported, self._reported_at = 0, now
        self._report(probe=probe, successes=unreported + successes, failures=failures)

    def invite(self) -> None:
        shared_memory().run(INVITE, keys=self._keys, args=[], otherwise=None)

    def reset(self) -> None:
        shared_memory().ask(lambda valkey: valkey.delete(*self._keys), otherwise=0)
        self._closed_until = 0.0

    def state(self) -> BreakerState:
        return shared_memory().ask(self._read, otherwise=BreakerState(self.name, "unknown"))

    # Inner workings

    def _report(self, *, probe: str, successes: int, failures: int) -> None:
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
    return _breaker(name, settings.EXTERNAL_TIMEOUT_SECONDS)


def all_states() -> list[BreakerState]:
    return [breaker(name).state() for name in settings.PROVIDERS]


@per_process
def _breaker(name: str, timeout: float) -> Breaker:
    return Breaker(name, Policy(probe_patience=timeout + 5))


def _moment(seconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(float(seconds), UTC) if seconds else None
