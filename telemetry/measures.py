"""Metrics that all processes add up in Valkey: one scrape covers them all.

A thread flushes two seconds after the first count; counts accumulate while Valkey is away. A killed process loses at
most two seconds; an empty Valkey starts at zero.
"""

import logging
import os
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis
from django.conf import settings

from runtime import optional_valkey
from runtime.per_process import per_process

logger = logging.getLogger(__name__)

KEY = "measures"
CARRY_SECONDS = 2.0
SOCKET_TIMEOUT_SECONDS = 0.5
SUM = "sum"
SEPARATOR = "\x1f"

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ORDERS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)

# name, label values, bucket index or the sum
Field = tuple[str, tuple[str, ...], str]


@dataclass(frozen=True, eq=False)
class Measure:
    """A counter or, with `buckets`, a histogram, named as in Prometheus."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def add(self, *values: str, amount: float = 1) -> None:
        _book.add((self.name, values, SUM), amount)

    def observe(self, value: float, *values: str) -> None:
        _book.add((self.name, values, str(bisect_left(self.buckets, value))), 1)
        _book.add((self.name, values, SUM), value)

    @contextmanager
    def timed(self, *values: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - started, *values)


HTTP_REQUESTS = Measure("http_requests", "Requests answered.", ("method", "route", "status"))
HTTP_SECONDS = Measure(
    "http_request_seconds", "How long answering a request took.", ("method", "route"), SECONDS
)
TASKS = Measure("tasks", "Tasks that a worker has ended.", ("task", "state"))
TASK_SECONDS = Measure(
    "task_seconds", "How long a task ran: a step of the journey for a whole batch.", ("task",), SECONDS
)
BATCH_ORDERS = Measure("batch_orders", "Orders that left together.", ("route",), ORDERS)
PROVIDER_CALLS = Measure("provider_calls", "Attempts of provider calls, by outcome.", ("provider", "outcome"))
PROVIDER_SECONDS = Measure(
    "provider_call_seconds", "How long an attempt of a provider call took.", ("provider",), SECONDS
)
WEBHOOKS_IGNORED = Measure("payment_webhooks_ignored", "Genuine webhooks about nothing that we know.")
ALL = (
    HTTP_REQUESTS,
    HTTP_SECONDS,
    TASKS,
    TASK_SECONDS,
    BATCH_ORDERS,
    PROVIDER_CALLS,
    PROVIDER_SECONDS,
    WEBHOOKS_IGNORED,
)


def flush() -> None:
    """Send this process's counts to Valkey now. Raises redis.RedisError."""
    _book.carry()


def totals() -> dict[Field, float]:
    """Return the totals of all processes. Raises redis.RedisError."""
    with _client() as client:
        stored: dict[str, str] = client.hgetall(KEY)
    return {_parsed(name): float(amount) for name, amount in stored.items()}


def _parsed(text: str) -> Field:
    name, *values, part = text.split(SEPARATOR)
    return name, tuple(values), part


def _client() -> redis.Redis:
    return optional_valkey.fail_fast_client(settings.CACHE_URL, seconds=SOCKET_TIMEOUT_SECONDS)


@per_process
def _kept_client(url: str) -> redis.Redis:
    """Return a client that keeps its connection: another one each time takes five round trips."""
    return optional_valkey.fail_fast_client(url, seconds=SOCKET_TIMEOUT_SECONDS)


class Book:
    """Counts of this process that are not in Valkey yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[Field, float] = defaultdict(float)
        self._added = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, field: Field, amount: float) -> None:
        with self._lock:
            if not self._counts:
                self._added.set()
            self._counts[field] += amount
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="measures", daemon=True)
                self._thread.start()

    def carry(self) -> None:
        """Add the counts to Valkey's; keep them on failure."""
        with self._lock:
            counts, self._counts = self._counts, defaultdict(float)
        if not counts:
            return
        try:
            with _kept_client(settings.CACHE_URL).pipeline(transaction=True) as pipeline:
                for (name, values, part), amount in counts.items():
                    pipeline.hincrbyfloat(KEY, SEPARATOR.join((name, *values, part)), amount)
                pipeline.execute()
        except (redis.RedisError, OSError):
            self._restore(counts)
            raise

    def _restore(self, counts: dict[Field, float]) -> None:
        with self._lock:
            for field, amount in counts.items():
                self._counts[field] += amount

    def _run(self) -> None:
        while True:
            self._added.wait()
            self._added.clear()
            time.sleep(CARRY_SECONDS)
            try:
                self.carry()
            except (redis.RedisError, OSError) as error:
                self._added.set()
                logger.debug("Counts stay here for now: %s", error)


_book = Book()


def _reset_after_fork() -> None:
    """Threads do not survive a fork; the parent flushes its own counts."""
    global _book  # noqa: PLW0603
    _book = Book()


os.register_at_fork(after_in_child=_reset_after_fork)
