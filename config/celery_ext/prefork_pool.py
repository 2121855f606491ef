"""Celery's prefork pool, patched: it does not miss the death of a child.

Defect: Celery checks once when the child's pipe closes, possibly before the child can be reaped, and stops watching
the pipe: the child is replaced only by the periodic check, up to five seconds later.
Test: tests/config/test_pool.py.
Remove: when `AsynPool._event_process_exit` retries (5.7 does not).
"""

from typing import Any

from celery.concurrency import prefork
from celery.concurrency.asynpool import AsynPool

RECHECK_SECONDS = 0.02


class Pool(AsynPool):
    """Rechecks until the child is reaped."""

    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        super()._event_process_exit(hub, proc)  # type: ignore[misc] # the stubs leave it out
        if proc.exitcode is None:
            hub.call_later(RECHECK_SECONDS, self._event_process_exit, hub, proc)


class TaskPool(prefork.TaskPool):
    """Named by `worker_pool` in the settings."""

    Pool = Pool
