"""What workers can be asked to do. Each task is one call; its name says on which queue's worker it runs.

Names and keywords are a contract with messages that are already on their way: a task takes keywords it
does not know, so that a worker that is a release behind or ahead can still run it.
"""

from celery import shared_task
from celery.signals import worker_process_shutdown, worker_shutdown
from django.conf import settings

from orders import handover, steps
from orders.maintenance import audit, backlog_samples, canary, retention
from scheduling.slots import database_now, once_per_slot


@worker_process_shutdown.connect
@worker_shutdown.connect
def finish_calls(**_: object) -> None:
    """Wait for the providers' answers before a worker process ends, in whichever kind of pool."""
    handover.finish()


@shared_task(name="inventory.reserve_stock")
def reserve_stock(*, batch_id: int, **_future: object) -> None:
    """Hold the units of a batch of orders."""
    steps.reserve_stock(batch_id=batch_id)


@shared_task(name="shipping.quote_shipping")
def quote_shipping(*, batch_id: int, **_future: object) -> None:
    """Find the price of shipping for a batch of orders."""
    steps.quote_shipping(batch_id=batch_id)


@shared_task(name="payments.authorize_payment")
def authorize_payment(*, batch_id: int, **_future: object) -> None:
    """Have the totals of a batch of orders held on their cards, and taken where stock is held already."""
    steps.authorize_payment(batch_id=batch_id)


@shared_task(name="payments.capture_payment")
def capture_payment(*, batch_id: int, **_future: object) -> None:
    """Take the money of those of a batch whose stock came last, and settle the batch."""
    steps.capture_payment(batch_id=batch_id)


@shared_task(name="inventory.release_stock")
def release_stock(*, batch_id: int, **_future: object) -> None:
    """Give the units of a batch of orders back."""
    steps.release_stock(batch_id=batch_id)


@shared_task(name="payments.return_money")
def return_money(*, batch_id: int, **_future: object) -> None:
    """Give the money of a batch of orders back."""
    steps.return_money(batch_id=batch_id)


@shared_task(name="orders.settle")
def settle(*, batch_id: int, **_future: object) -> None:
    """Decide where the orders of a batch go now."""
    steps.settle(batch_id=batch_id)


@shared_task(name="orders.complete")
def complete(*, batch_id: int, **_future: object) -> None:
    """Complete a batch of confirmed orders."""
    steps.complete(batch_id=batch_id)


# --- Scheduled --------------------------------------------------------------------------------------------


@shared_task(name="orders.audit", soft_time_limit=300, time_limit=330)
def run_audit(**_future: object) -> None:
    """Prove the books, once per slot; what breaks a promise is put before a person."""
    once_per_slot(name="audit", interval=settings.AUDIT_INTERVAL, work=audit.take_turn, now=database_now())


@shared_task(name="orders.clean")
def clean(**_future: object) -> None:
    """Forget what nobody needs any more, once an hour."""
    now = database_now()
    once_per_slot(name="cleaning", interval=3600, work=lambda: retention.clean(now=now), now=now)


@shared_task(name="orders.archive")
def archive_orders(**_future: object) -> None:
    """Move some of the orders of long ago to the archive; a schedule that is left over does nothing."""
    now = database_now()
    if settings.ARCHIVE_AFTER_MONTHS:
        once_per_slot(name="archive", interval=300, work=lambda: retention.archive_some(now=now), now=now)


@shared_task(name="orders.canary")
def send_canary(**_future: object) -> None:
    """See whether orders get where they are going, once per slot; a schedule that is left over does nothing."""
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
    """Leave a trace of beat, and of the backlog."""
    backlog_samples.take(now=database_now())
