"""Many calls at once, the slow ones among them, and those that never get their turn."""

import threading
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace

import pytest

from providers import concurrency
from providers.concurrency import Gathered, concurrently
from tests.waiting import until

PATIENT = 20.0


def never_late(late: Sequence[tuple[int, object]]) -> None:
    raise AssertionError(f"These were late: {late}")


def test_it_returns_every_result_by_its_place():
    gathered = concurrently([partial(pow, n, 2) for n in range(100)], patience=PATIENT, on_late=never_late)

    assert gathered == Gathered({n: n * n for n in range(100)}, frozenset())


def test_it_runs_them_side_by_side(settings):
    settings.PROVIDER_CONCURRENCY = 4
    together = threading.Barrier(4, timeout=PATIENT)

    gathered = concurrently([together.wait] * 4, patience=PATIENT, on_late=never_late)

    assert len(gathered.results) == 4


def test_a_slow_call_does_not_hold_up_the_others_and_is_heard_of_later():
    answer = threading.Event()
    heard: list[tuple[int, object]] = []
    calls = [lambda: "quick", lambda: answer.wait(PATIENT)]

    gathered = concurrently(calls, patience=0.2, on_late=heard.extend)
    assert (gathered, heard) == (Gathered({0: "quick"}, frozenset({1})), [])

    answer.set()
    assert until(lambda: heard) == [(1, True)]


def test_what_had_no_turn_in_time_is_never_started(settings):
    settings.PROVIDER_CONCURRENCY = 1
    answer, started = threading.Event(), []
    heard: list[tuple[int, object]] = []
    calls = [lambda: answer.wait(PATIENT), lambda: started.append("second")]

    gathered = concurrently(calls, patience=0.1, on_late=heard.extend)
    assert gathered == Gathered({}, frozenset({0}))

    answer.set()
    until(lambda: heard)
    # The one thread takes calls in order: when it answers again, it has passed over the second.
    concurrently([lambda: None], patience=PATIENT, on_late=never_late)
    assert (started, heard) == ([], [(0, True)])


def test_what_would_be_late_by_the_others_example_is_not_begun(settings, monkeypatch):
    settings.PROVIDER_CONCURRENCY = 1
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(concurrency, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def call() -> float:
        clock.now += PATIENT / 5 * 2
        return clock.now

    gathered = concurrently([call] * 3, patience=PATIENT, on_late=never_late)
    assert gathered == Gathered({0: PATIENT / 5 * 2, 1: PATIENT / 5 * 4}, frozenset())


def test_a_call_that_raises_raises_here():
    with pytest.raises(ZeroDivisionError):
        concurrently([lambda: 1 // 0, lambda: 1], patience=PATIENT, on_late=never_late)
