"""Beat goes on after its clock was ahead for a while."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from config.celery import app
from config.celery_ext import beat_scheduler
from config.celery_ext.beat_scheduler import Scheduler

pytestmark = pytest.mark.django_db(transaction=True)
AHEAD = timedelta(hours=2)


@pytest.fixture
def task() -> PeriodicTask:
    """One that ran a second ago by a clock that was two hours ahead."""
    every = IntervalSchedule.objects.create(every=600, period=IntervalSchedule.SECONDS)
    last_run_at = timezone.now() + AHEAD - timedelta(seconds=1)
    return PeriodicTask.objects.create(name="a", task="orders.tick", interval=every, last_run_at=last_run_at)


def test_what_ran_in_the_future_is_due_after_its_interval(task: PeriodicTask) -> None:
    is_due, seconds = Scheduler.Entry(task, app=app).is_due()
    assert (is_due, seconds <= 600) == (False, True)


@pytest.mark.usefixtures("task")
def test_what_was_planned_while_the_clock_was_ahead_is_planned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler: Any = Scheduler(app=app, lazy=True)
    scheduler.tick()
    (event,) = scheduler._heap
    scheduler._heap[:] = [event._replace(time=event.time + AHEAD.total_seconds())]
    scheduler.tick()
    assert scheduler._heap[0].time > event.time + 3600
    earlier = time.time() - 1
    monkeypatch.setattr(time, "time", lambda: earlier)
    scheduler.tick()
    assert scheduler._heap[0].time < event.time + 60


def test_the_table_has_no_last_run_in_the_future_any_more(task: PeriodicTask) -> None:
    """The scheduler reads the table again every five minutes: what has a longer interval would never be due."""
    Scheduler.Entry(task, app=app).is_due()

    read_again = PeriodicTask.objects.get(pk=task.pk)

    assert read_again.last_run_at is not None
    assert read_again.last_run_at <= timezone.now()
    first = read_again.last_run_at
    Scheduler.Entry(read_again, app=app).is_due()
    read_again.refresh_from_db()
    assert read_again.last_run_at == first


def test_two_that_start_together_store_their_schedule_one_after_the_other(monkeypatch: Any) -> None:
    guard = connection.copy()
    guard.set_autocommit(False)
    with guard.cursor() as cursor, ThreadPoolExecutor(1) as other:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [beat_scheduler.STORING])
        tries = threading.Event()
        monkeypatch.setattr(beat_scheduler, "_takes_turn", _noted(beat_scheduler._takes_turn, tries))
        started = other.submit(_start)
        assert tries.wait(10)
        assert not PeriodicTask.objects.exists()
        guard.close()
        started.result()
    assert PeriodicTask.objects.filter(name="audit").exists()


def _start() -> None:
    try:
        Scheduler(app=app)
    finally:
        connection.close()


def _noted(take: Any, tries: threading.Event) -> Any:
    def taken(cursor: Any) -> bool:
        found = bool(take(cursor))
        tries.set()
        return found

    return taken


def test_an_entry_for_a_far_hour_is_in_the_schedule() -> None:
    far = (timezone.now() + timedelta(hours=11)).hour + 1
    at = CrontabSchedule.objects.create(hour=str(far % 24 if far % 24 != 4 else 5), minute="0")
    PeriodicTask.objects.create(name="far", task="orders.tick", crontab=at)
    assert "far" in Scheduler(app=app, lazy=True).schedule


@pytest.mark.usefixtures("task")
def test_the_scheduler_sleeps_until_the_moment_an_entry_is_due() -> None:
    """Not until ten milliseconds before, which it would spend on polls."""
    assert Scheduler(app=app, lazy=True).adjust(0.005) == 0.005
