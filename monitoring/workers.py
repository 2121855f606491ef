"""Heartbeats of Celery workers, and metrics of their tasks."""

import time
from collections import Counter
from typing import Any

import structlog
from celery.signals import (
    heartbeat_sent,
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_shutdown,
)
from celery.worker import request, state

from orders import batches
from runtime import gc, heartbeats
from telemetry import measures, tracing

PREFIX = "worker:"


class Activity:
    """Tracks idle time: an idle worker with a full queue has stopped fetching."""

    def __init__(self) -> None:
        self.started_at = time.time()
        self._processed = -1
        self._failed = self._failed_before = self._done_before = self._failed_in_a_row = 0
        self._idle_since = time.monotonic()

    def look(self) -> dict[str, Any]:
        processed, active = state.all_total_count[0], list(state.active_requests)
        if active or processed != self._processed:
            self._processed, self._idle_since = processed, time.monotonic()
        return {
            "active": len(active),
            "taken": Counter(taken.delivery_info["routing_key"] for taken in state.reserved_requests),
            "processed": processed,
            "startedAt": self.started_at,
            "failedInARow": self._count_failures(done=processed - len(active)),
            "idleSeconds": round(time.monotonic() - self._idle_since, 1),
            "busySeconds": round(max((_running_for(task) for task in active), default=0.0), 1),
        }

    def note_failure(self) -> None:
        self._failed += 1

    def _count_failures(self, *, done: int) -> int:
        ended, failed = done - self._done_before, self._failed - self._failed_before
        self._done_before, self._failed_before = done, self._failed
        self._failed_in_a_row = 0 if ended > failed else self._failed_in_a_row + failed
        return self._failed_in_a_row


class Request(request.Request):
    """A task in the main process, which sees failures even of a crashed child."""

    def on_failure(self, *arguments: Any, **options: Any) -> Any:
        """Called by the pool."""
        _activity.note_failure()
        return super().on_failure(*arguments, **options)


def _running_for(task: Any) -> float:
    started = getattr(task, "time_start", None)
    return max(0.0, time.time() - started) if started else 0.0


_activity = Activity()


@heartbeat_sent.connect
def note_worker(sender: Any, **_: object) -> None:
    eventer = sender.eventer  # the sender is a celery.worker.heartbeat.Heart
    queues = sorted(eventer.app.amqp.queues.consume_from)
    heartbeats.beat(PREFIX + eventer.hostname, queues=queues, **_activity.look())


@worker_shutdown.connect
def note_end(sender: Any, **_: object) -> None:
    """Remove the heartbeat of a worker that shut down cleanly."""
    heartbeats.leave(PREFIX + sender.hostname)


@worker_process_init.connect
def begin_process(**_: object) -> None:
    """Each child exports its own spans, and tunes its own collector."""
    tracing.start("worker")
    gc.leave_alone()


@task_prerun.connect
def begin_task(task: Any, task_id: str, kwargs: dict[str, Any] | None = None, **_: object) -> None:
    task.request.began = time.perf_counter()
    about = batches.log_context(kwargs["batch_id"]) if kwargs and "batch_id" in kwargs else {}
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id, **about)
    if tracing.is_on():
        given = task.request.get(tracing.HEADER)
        attributes = {name: str(value) for name, value in about.items()}
        task.request.span = tracing.span(task.name, parents=[given] if given else [], **attributes)
        task.request.span.__enter__()


@task_postrun.connect
def end_task(task: Any, state: str | None = None, **_: object) -> None:
    if (span := getattr(task.request, "span", None)) is not None:
        span.__exit__(None, None, None)
    structlog.contextvars.clear_contextvars()
    measures.TASKS.add(task.name, state or "UNKNOWN")
    if (began := getattr(task.request, "began", None)) is not None:
        measures.TASK_SECONDS.observe(time.perf_counter() - began, task.name)
