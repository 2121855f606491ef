"""Celery's prefork pool, patched: it does not miss the death of a child, and a child does not compile C.

Defects:
1. Celery checks once when the child's pipe closes, possibly before the child can be reaped, and stops watching
the pipe: the child is replaced only by the periodic check, up to five seconds later.
2. Where cffi is installed, each child parses a C declaration to call prctl: 5 MB and a tenth of a second.
Test: tests/config/test_pool.py.
Remove: 1 when `AsynPool._event_process_exit` retries (5.7 does not); 2 when billiard uses ctypes (4.3 does not).
"""

from typing import Any

from celery import platforms
from celery.concurrency import prefork
from celery.concurrency.asynpool import AsynPool

from runtime.death_signal import set_death_signal

RECHECK_SECONDS = 0.02

platforms._set_pdeathsig = set_death_signal  # type: ignore[attr-defined] # the stubs leave it out


class Pool(AsynPool):
    """Rechecks until the child is reaped."""

    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        super()._event_process_exit(hub, proc)  # type: ignore[misc] # the stubs leave it out
        if proc.exitcode is None:
            hub.call_later(RECHECK_SECONDS, self._event_process_exit, hub, proc)


class TaskPool(prefork.TaskPool):
    """Named by `worker_pool` in the settings."""

    Pool = Pool
