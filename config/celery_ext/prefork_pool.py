"""Mends one thing in Celery's pool of processes: it must not overlook that a child has died.

Celery learns of it when the child's pipe closes, and looks at once whether the child is gone. The kernel closes
the files of a dying process before anybody can collect it, though. Who looks in between finds it alive, has
stopped watching its pipe, and looks again only at the next regular look, up to five seconds later.
"""

from typing import Any

from celery.concurrency import prefork
from celery.concurrency.asynpool import AsynPool

RECHECK_SECONDS = 0.02


class Pool(AsynPool):
    """Looks again, soon and until the child is gone."""

    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        super()._event_process_exit(hub, proc)  # type: ignore[misc] # the stubs leave it out
        if proc.exitcode is None:
            hub.call_later(RECHECK_SECONDS, self._event_process_exit, hub, proc)


class TaskPool(prefork.TaskPool):
    """What `worker_pool` in the settings names."""

    Pool = Pool
