"""Concurrent calls on threads, without waiting for the slowest."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.conf import settings

from providers import late
from providers.late import OnLate
from runtime.per_process import per_process

T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gathered(Generic[T]):
    """Results by the call's place; `late` calls will be reported.

    Calls in neither were never started.
    """

    results: dict[int, T]
    late: frozenset[int]

    def not_started(self, calls: int) -> list[int]:
        """Return the places of the calls, of that many, for which there was no capacity."""
        return [place for place in range(calls) if place not in self.results and place not in self.late]


def concurrently(
    calls: Sequence[Callable[[], T]],
    *,
    patience: float,
    on_late: OnLate[T],
    pool: str = "provider",
    places: int | None = None,
) -> Gathered[T]:
    """Run calls on a named pool; return what completes within `patience` seconds.

    Pools share no threads: hanging calls block only their kind. `places` bounds concurrency; by default
    settings.PROVIDER_CONCURRENCY.

    Each started call is reported once: in the result, or by `on_late([(place, result), ...])` on the thread of
    `providers.late`. Late exceptions are logged.
    """
    gathering = _Gathering(on_late, until=time.monotonic() + patience)
    threads = _pool(pool, places or settings.PROVIDER_CONCURRENCY)
    for place, call in enumerate(calls):
        threads.submit(gathering.run, place, call)
    return gathering.wait(len(calls))


@dataclass
class _Gathering(Generic[T]):
    """Each call is not started, left out, started or done; changes need the lock."""

    on_late: OnLate[T]
    until: float
    left_out: int = 0
    seconds: float = 0.0  # total duration of those done
    started: set[int] = field(default_factory=set)
    results: dict[int, T] = field(default_factory=dict)
    errors: list[Exception] = field(default_factory=list)
    over: bool = False
    change: threading.Condition = field(default_factory=threading.Condition)

    def run(self, place: int, call: Callable[[], T]) -> None:
        with self.change:
            if self.over:
                return
            if not self.has_time():
                self.left_out += 1
                self.change.notify()
                return
            self.started.add(place)
        began = time.monotonic()
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits for it
            self.failed(place, error)
            return
        if not self.in_time(place, result, time.monotonic() - began):
            late.report(self.on_late, place, result)

    def has_time(self) -> bool:
        """Whether a call could finish in time: a late one costs more."""
        usual = self.seconds / len(self.results) if self.results else 0.0
        return time.monotonic() + usual <= self.until

    def in_time(self, place: int, result: T, seconds: float) -> bool:
        with self.change:
            if self.over:
                return False
            self.started.discard(place)
            self.results[place] = result
            self.seconds += seconds
            self.change.notify()
            return True

    def failed(self, place: int, error: Exception) -> None:
        with self.change:
            if self.over:
                logger.error("A late call failed.", exc_info=error)
                return
            self.started.discard(place)
            self.errors.append(error)
            self.change.notify()

    def wait(self, total: int) -> Gathered[T]:
        with self.change:
            self.change.wait_for(
                lambda: self.errors or len(self.results) + self.left_out == total,
                timeout=max(0.0, self.until - time.monotonic()),
            )
            self.over = True
            if self.errors:
                raise self.errors[0]
            return Gathered(self.results, frozenset(self.started))


@per_process
def _pool(name: str, size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix=name)
