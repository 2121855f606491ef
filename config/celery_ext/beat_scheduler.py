"""Beat's schedule in the database, mended in one thing: a clock that was ahead must not silence it.

Beat notes when each entry last ran, and plans by the time of day. Once a clock that was hours ahead is set right,
everything seems to have run in the future: nothing would run again for as many hours, after a restart neither.
"""

import logging
import time
from datetime import datetime
from typing import Any

from celery.utils.time import maybe_make_aware
from django.db import DatabaseError, InterfaceError
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from runtime import heartbeats

logger = logging.getLogger(__name__)


class Entry(ModelEntry):
    """What ran in the future has run just now."""

    def is_due(self) -> Any:
        """Return whether it is due, and how many seconds until the next check."""
        now = maybe_make_aware(self._default_now())
        last_run_at: Any = self.last_run_at
        if maybe_make_aware(last_run_at) > now:
            self._reset(now)
        return super().is_due()

    def _reset(self, now: datetime) -> None:
        """Take `now` for the last run, in the table as well: the scheduler reads it again every five minutes.

        Otherwise what has a longer interval than that would never be due.
        """
        self.last_run_at = self.model.last_run_at = now
        try:
            type(self.model).objects.filter(pk=self.model.pk, last_run_at__gt=now).update(last_run_at=now)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The last run of %s stays in the future for now: %s", self.name, error)


class Scheduler(DatabaseScheduler):
    """Plans anew when it finds the clock set back. What `beat_scheduler` in the settings names."""

    Entry = Entry
    _latest = 0.0  # time of day

    def tick(self, *arguments: Any, **options: Any) -> Any:
        """Run what is due; return how many seconds to sleep."""
        heartbeats.touch()
        now = time.time()
        if now < self._latest:
            self._heap = None
        self._latest = now
        return super().tick(*arguments, **options)
