"""The Celery tasks of orders; a task's name selects its queue.

Tasks ignore unknown keywords, so that workers one release apart can run them.
"""

import functools
from collections.abc import Sequence
from functools import partial

from celery import current_task, shared_task
from celery.signals import worker_process_shutdown, worker_shutdown
from django.conf import settings

from database import failover
from orders import steps
from orders.batches import Paused, Progress
from orders.legs import LEGS
from orders.maintenance import audit, backlog_samples, canary, retention
from orders.payment import handover
from orders.steps import BatchStep
from scheduling.slots import database_now, once_per_slot

# Share of the lease that a step waits for a new leader.
PATIENCE = 0.75


@worker_process_shutdown.connect
@worker_shutdown.connect
def finish_calls(**_: object) -> None:
    handover.finish()


def _register(name: str, step: BatchStep) -> None:
    """Make a step a task; an outage of the database may delay it, within the lease.

    It returns True once its batch is over, which spares the body of a chord (`config.celery_ext.chord_results`).
    """

    @shared_task(name=name, max_retries=None)
    @functools.wraps(step)
    def run(*, batch_id: int, progress: Sequence[float] = (), **_future: object) -> bool:
        patience = PATIENCE * settings.LEASE_SECONDS if settings.FAILOVER_WAIT_SECONDS else 0
        # Called as a function there is no queue in which to let others pass.
        done = Progress._make(progress or Progress()) if current_task else None
        try:
            return failover.through(partial(step, batch_id=batch_id, progress=done), seconds=patience)
        except Paused as pause:
            again = {"batch_id": batch_id, "progress": pause.progress}
            raise current_task.retry(kwargs=again, countdown=0) from None


for leg in LEGS:
    for step in filter(None, (leg.step, leg.way_back)):
        _register(leg.task(step), getattr(steps, step))

_register("payments.capture_payment", steps.capture_payment)
_register("payments.refund_credits", steps.refund_credits)
_register("orders.settle", steps.settle)
_register("orders.complete", steps.complete)


# --- Scheduled --------------------------------------------------------------------------------------------


@shared_task(name="orders.audit", soft_time_limit=300, time_limit=330)
def run_audit(**_future: object) -> None:
    """Audit once per slot; escalate violations."""
    once_per_slot(name="audit", interval=settings.AUDIT_INTERVAL, work=audit.take_turn, now=database_now())


@shared_task(name="orders.clean")
def clean(**_future: object) -> None:
    """Delete expired rows, once an hour."""
    now = database_now()
    once_per_slot(name="cleaning", interval=3600, work=lambda: retention.clean(now=now), now=now)


@shared_task(name="orders.archive")
def archive_orders(**_future: object) -> None:
    """Archive some old orders."""
    now = database_now()
    if settings.ARCHIVE_AFTER_MONTHS:
        once_per_slot(name="archive", interval=300, work=lambda: retention.archive_some(now=now), now=now)


@shared_task(name="orders.canary")
def send_canary(**_future: object) -> None:
    """Send a canary order, once per slot."""
    now = database_now()
    if settings.CANARY_INTERVAL:
        once_per_slot(
            name="canary",
            interval=settings.CANARY_INTERVAL,
            work=lambda: canary.take_turn(now=now),
            now=now,
        )


@shared_task(name="orders.tick")
def tick(**_future: object) -> None:
    backlog_samples.take(now=database_now())
