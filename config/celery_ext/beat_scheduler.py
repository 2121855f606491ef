"""django-celery-beat's scheduler, patched: a clock that was ahead does not stop the schedule.

Defect: once the clock is corrected, entries with a future `last_run_at` are not due for hours, and the heap keeps
times of the wrong clock. Two that start together, as in a cluster, store the same schedule and deadlock. Celery
polls through the last ten milliseconds before each entry, a statement each time.
Test: tests/config/test_schedule.py.
Remove: when django-celery-beat treats a future `last_run_at` as now (2.9 does not).
"""

import logging
import time
from datetime import datetime
from typing import Any

from celery.utils.time import maybe_make_aware
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from runtime import heartbeats

logger = logging.getLogger(__name__)

# Advisory lock of those that store the schedule.
STORING = 7_241_003
POLL_SECONDS = 0.1


def _takes_turn(cursor: Any) -> bool:
    """Try the lock of a transaction: a pooler may change sessions, and a wait has a timeout."""
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [STORING])
    return bool(cursor.fetchone()[0])


class Entry(ModelEntry):
    """An entry that ran in the future counts as run just now."""

    def is_due(self) -> Any:
        """Whether it is due, and the seconds until the next check."""
        now = maybe_make_aware(self._default_now())
        last_run_at: Any = self.last_run_at
        if maybe_make_aware(last_run_at) > now:
            self._reset(now)
        return super().is_due()

    def _reset(self, now: datetime) -> None:
        """Set the last run to `now`, in the table too: the scheduler reloads it every five minutes."""
        self.last_run_at = self.model.last_run_at = now
        try:
            type(self.model).objects.filter(pk=self.model.pk, last_run_at__gt=now).update(last_run_at=now)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The last run of %s stays in the future for now: %s", self.name, error)


class Scheduler(DatabaseScheduler):
    """Rebuilds its plan when the clock was set back."""

    Entry = Entry
    _latest = 0.0  # wall-clock time of the last tick

    def _get_crontab_exclude_query(self) -> Q:
        """Exclude none: a few entries more cost less than the query over time zones, 4 MB of memory."""
        return Q()

    def setup_schedule(self) -> None:
        """Store the configured entries, one process at a time."""
        guard = connection.copy()
        try:
            guard.set_autocommit(False)
            with guard.cursor() as cursor:
                while not _takes_turn(cursor):
                    time.sleep(POLL_SECONDS)
            super().setup_schedule()
        finally:
            guard.close()

    def adjust(self, n: float | None, drift: float = 0.0) -> float | None:
        """Return the seconds until an entry is due, as they are; Celery takes off ten milliseconds."""
        return super().adjust(n, drift)

    def tick(self, *arguments: Any, **options: Any) -> Any:
        """Run what is due; return the seconds to sleep."""
        heartbeats.touch()
        now = time.time()
        if now < self._latest:
            self._heap = None
        self._latest = now
        return super().tick(*arguments, **options)
