"""Beat's schedule in the database, mended in one thing: a clock that was ahead must not silence it.

Beat notes when each entry last ran, and plans by the time of day. Once a clock that was hours ahead is set right,
everything seems to have run in the future: nothing would run again for as many hours, after a restart neither.
"""

import time
from typing import Any

from celery.utils.time import maybe_make_aware
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


class Entry(ModelEntry):
    """What ran in the future has run just now."""

    def is_due(self) -> Any:
        """Return whether it is due, and when to look again."""
        now = maybe_make_aware(self._default_now())
        last_run_at: Any = self.last_run_at  # type: ignore[has-type] # the stubs leave it out
        self.last_run_at = min(maybe_make_aware(last_run_at), now)
        return super().is_due()


class Scheduler(DatabaseScheduler):
    """Plans anew when it finds the clock set back. What `beat_scheduler` in the settings names."""

    Entry = Entry
    _latest = 0.0  # time of day

    def tick(self, *arguments: Any, **options: Any) -> Any:
        """Run what is due; return how many seconds to sleep."""
        now = time.time()
        if now < self._latest:
            self._heap = None
        self._latest = now
        return super().tick(*arguments, **options)
