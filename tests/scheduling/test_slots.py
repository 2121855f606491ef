"""Scheduled work, once per time slot."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection

from scheduling.models import ScheduledRun
from scheduling.slots import database_now, forget_before, latest_runs, latest_start, once_per_slot

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def run(work=lambda: "done it", *, name="audit", now=NOON) -> bool:
    return once_per_slot(name=name, interval=600, work=work, now=now)


@pytest.mark.django_db
def test_a_slot_is_worked_once():
    calls: list[int] = []
    assert run(lambda: calls.append(1))
    assert not run(lambda: calls.append(2), now=NOON + timedelta(seconds=599))
    assert run(lambda: calls.append(3), now=NOON + timedelta(seconds=600))
    assert calls == [1, 3]


@pytest.mark.django_db
def test_the_outcome_stays():
    run()
    done = ScheduledRun.objects.get()
    assert done.outcome == "done it"
    assert done.finished_at is not None


@pytest.mark.django_db
def test_a_failure_stays_with_its_traceback_and_is_raised():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)
    assert "ZeroDivisionError" in ScheduledRun.objects.get().outcome


@pytest.mark.django_db
def test_different_work_does_not_share_slots():
    assert run(name="audit")
    assert run(name="cleaning")


@pytest.mark.django_db(transaction=True)
def test_of_two_beats_at_the_same_moment_one_works():
    calls: list[bool] = []
    together = Barrier(2)

    def tick() -> None:
        together.wait()
        calls.append(run())
        connection.close()

    threads = [Thread(target=tick) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == [False, True]


@pytest.mark.django_db
def test_the_latest_run_of_each_kind_is_found():
    for hours in range(3):
        run(now=NOON + timedelta(hours=hours))
    run(name="cleaning")
    assert [(latest.name, latest.started_at) for latest in latest_runs()] == [
        ("audit", NOON + timedelta(hours=2)),
        ("cleaning", NOON),
    ]
    assert latest_start("audit", until=NOON + timedelta(hours=3)) == NOON + timedelta(hours=2)
    assert latest_start("never", until=NOON) is None


@pytest.mark.django_db
def test_nothing_ever_ran():
    assert latest_runs() == []


@pytest.mark.django_db
def test_old_runs_are_forgotten():
    run()
    run(now=NOON + timedelta(days=1))
    assert forget_before(NOON + timedelta(hours=1)) == 1
    assert ScheduledRun.objects.get().started_at == NOON + timedelta(days=1)


@pytest.mark.django_db
def test_time_is_the_databases():
    assert database_now().tzinfo is not None


@pytest.mark.django_db
def test_what_a_clock_that_was_ahead_started_takes_no_slot_later():
    ahead = NOON + timedelta(days=3)
    runs: list[str] = []

    def work() -> None:
        runs.append("ran")

    for now in (ahead, NOON, ahead):
        assert once_per_slot(name="audit", interval=600, work=work, now=now)

    assert len(runs) == 3


@pytest.mark.django_db
def test_a_start_in_the_future_is_not_the_latest():
    ScheduledRun.objects.create(name="beat", slot=1, started_at=NOON - timedelta(minutes=1))
    ScheduledRun.objects.create(name="beat", slot=2, started_at=NOON + timedelta(days=3))

    assert latest_start("beat", until=NOON) == NOON - timedelta(minutes=1)
