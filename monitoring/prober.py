"""Runs probes side by side, each with a time limit. A hanging probe is not started again."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db import connections

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """A value, an error, or neither while it runs."""

    value: Any = None
    error: BaseException | None = None
    seconds: float | None = None

    @property
    def is_back(self) -> bool:
        return self.seconds is not None


class Prober:
    """A set of probes, each run in its own thread."""

    def __init__(self, questions: Mapping[str, Callable[[], object]]) -> None:
        self._questions = questions
        self._lock = threading.Lock()
        self._pid = 0
        self._under_way: dict[str, Future[Answer]] = {}

    def ask(self, *, seconds: float) -> dict[str, Answer]:
        """Return an answer for every probe, after at most `seconds`."""
        with self._lock:
            futures = {name: self._ask(name) for name in self._questions}
        done, _ = wait(futures.values(), timeout=seconds)
        return {name: future.result() if future in done else Answer() for name, future in futures.items()}

    def _ask(self, name: str) -> Future[Answer]:
        if self._pid != os.getpid():  # threads do not survive a fork
            self._pid, self._under_way = os.getpid(), {}
        under_way = self._under_way.get(name)
        if under_way is None or under_way.done():
            under_way = self._under_way[name] = _in_thread(self._questions[name])
        return under_way


def _in_thread(question: Callable[[], object]) -> Future[Answer]:
    """Start a daemon thread, as a hanging probe must not delay the exit."""
    future: Future[Answer] = Future()
    thread = threading.Thread(target=lambda: future.set_result(_answer(question)), name="prober", daemon=True)
    thread.start()
    return future


def _answer(question: Callable[[], object]) -> Answer:
    started = time.perf_counter()
    try:
        value, error = question(), None
    except Exception as problem:  # noqa: BLE001 - the error is the answer
        value, error = None, problem
    finally:
        connections.close_all()  # every probe connects again, as a client would
    return Answer(value, error, time.perf_counter() - started)


class Remembered(Generic[T]):
    """A value cached for `seconds`."""

    def __init__(self, load: Callable[[], T], *, seconds: float) -> None:
        self._load = load
        self._seconds = seconds
        self._lock = threading.Lock()
        self._until = 0.0
        self._value: T

    def get(self) -> T:
        with self._lock:
            if time.monotonic() >= self._until:
                self._value = self._load()
                self._until = time.monotonic() + self._seconds
            return self._value

    def forget(self) -> None:
        with self._lock:
            self._until = 0.0
