import traceback
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import connection
from django.db.models.functions import Now

from scheduling.models import ScheduledRun

# later starts come from a clock that was ahead
AHEAD = timedelta(minutes=5)


def database_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now


def once_per_slot(*, name: str, interval: float, work: Callable[[], object], now: datetime) -> bool:
    """Run `work` unless the slot of `interval` seconds was taken. Return whether it ran."""
    slot = int(now.timestamp() // interval)
    ScheduledRun.objects.filter(name=name, slot__gt=slot, started_at__gt=now + AHEAD).delete()
    run, won = ScheduledRun.objects.get_or_create(name=name, slot=slot, defaults={"started_at": now})
    if not won:
        return False
    try:
        outcome = str(work() or "done")
    except Exception:
        _finish(run, traceback.format_exc())
        raise
    _finish(run, outcome)
    return True


def _finish(run: ScheduledRun, outcome: str) -> None:
    ScheduledRun.objects.filter(name=run.name, slot=run.slot).update(
        finished_at=Now(), outcome=outcome[:10_000]
    )


def has_failed(run: ScheduledRun) -> bool:
    """Whether a run failed or stopped early."""
    return run.outcome.startswith("Traceback") or "; stopped: " in run.outcome


def forget_before(moment: datetime) -> int:
    return int(ScheduledRun.objects.filter(started_at__lt=moment).delete()[0])


def latest_start(name: str, *, until: datetime) -> datetime | None:
    """Return the latest start of `name` up to `until`: later ones come from a clock that was ahead."""
    return (
        ScheduledRun.objects.filter(name=name, started_at__lte=until)
        .order_by("-started_at")
        .values_list("started_at", flat=True)
        .first()
    )


def outcomes_since(name: str, moment: datetime) -> list[tuple[datetime, str]]:
    runs = ScheduledRun.objects.filter(name=name, started_at__gte=moment, finished_at__isnull=False)
    return list(runs.order_by("started_at").values_list("started_at", "outcome"))


# Loose index scan: one step per name.
LATEST_RUNS = """
    WITH RECURSIVE names AS (
        (SELECT name FROM scheduling_scheduledrun ORDER BY name LIMIT 1)
        UNION ALL
        SELECT (SELECT name FROM scheduling_scheduledrun r WHERE r.name > names.name ORDER BY name LIMIT 1)
        FROM names WHERE names.name IS NOT NULL
    )
    SELECT run.name, run.slot, run.started_at, run.finished_at, run.outcome FROM names CROSS JOIN LATERAL (
        SELECT * FROM scheduling_scheduledrun r WHERE r.name = names.name ORDER BY started_at DESC LIMIT 1
    ) run ORDER BY run.name
"""


def note_run(name: str, *, outcome: str, now: datetime) -> None:
    """Record work done outside the schedule; several within a second are one."""
    ScheduledRun.objects.update_or_create(
        name=name,
        slot=int(now.timestamp()),
        defaults={"started_at": now, "finished_at": now, "outcome": outcome},
    )


def latest_runs() -> list[ScheduledRun]:
    with connection.cursor() as cursor:
        cursor.execute(LATEST_RUNS)
        return [
            ScheduledRun(name=name, slot=slot, started_at=started, finished_at=finished, outcome=outcome)
            for name, slot, started, finished, outcome in cursor.fetchall()
        ]


def stale_after(interval: float) -> timedelta:
    """Return the age that counts as missed: two intervals and slack."""
    return timedelta(seconds=interval * 2 + 10)
