"""Results that no caller awaits any more: each is reported, whatever becomes of the others and of the database."""

import threading
from collections.abc import Callable, Sequence

import pytest
from django.db import OperationalError

from providers import collector, late
from providers.concurrency import concurrently
from tests.waiting import until

Group = Sequence[tuple[int, object]]


def late_calls(count: int, on_late: Callable[[Group], None]) -> set[int]:
    """Make calls that all answer at once, when their caller has gone on. Return the places of those begun by then."""
    answer = threading.Event()
    calls = [lambda: answer.wait(20)] * count
    gathered = concurrently(calls, patience=0.5, on_late=on_late, pool="late", places=64)
    answer.set()
    return set(gathered.late)


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch) -> None:
    monkeypatch.setattr(collector, "DATABASE_PAUSE_SECONDS", 0.01)


def test_many_that_come_at_once_are_reported_in_few_groups_on_one_thread():
    groups: list[tuple[int, Group]] = []
    begun = late_calls(64, lambda group: groups.append((threading.get_ident(), group)))

    assert late.wait_until_reported(seconds=20)
    until(lambda: sum(len(group) for _, group in groups) == len(begun))
    assert {place for _, group in groups for place, _ in group} == begun
    assert len({thread for thread, _ in groups}) == 1
    assert len(groups) <= max(1, len(begun) // 2)


def test_one_that_cannot_be_recorded_takes_no_other_with_it():
    recorded: set[int] = set()

    def on_late(group: Group) -> None:
        if any(place == 3 for place, _ in group):
            raise ValueError("poison")
        recorded.update(place for place, _ in group)

    begun = late_calls(10, on_late)
    assert 3 in begun
    until(lambda: recorded == begun - {3})


def test_without_a_database_they_wait_and_what_is_recorded_is_not_repeated():
    tries: list[str] = []
    is_away = True

    def first(group: Group) -> None:
        tries.extend("first" for _ in group)

    def second(group: Group) -> None:
        nonlocal is_away
        if is_away:
            is_away = False
            raise OperationalError("connection timeout expired")
        tries.extend("second" for _ in group)

    reports = [late.Late(first, 0, None), late.Late(second, 0, None)]
    with pytest.raises(OperationalError):
        late._take(reports)
    late._take(reports)
    assert tries == ["first", "second"]

    is_away = True
    late_calls(1, second)
    until(lambda: tries == ["first", "second", "second"])
