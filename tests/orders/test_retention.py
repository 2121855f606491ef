"""What the hourly clean-up deletes, and what it has to leave alone."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import settings

from api.models import IdempotencyKey
from orders.maintenance import held, retention
from orders.models import Batch, Order, StepRun
from orders.status import Status
from payments.models import WebhookEvent
from scheduling.models import ScheduledRun
from scheduling.slots import database_now
from tests.factories import make_order, make_product

pytestmark = pytest.mark.django_db


def keep_key(name: str, *, age: timedelta) -> None:
    IdempotencyKey.objects.create(
        owner_id=1,
        key=name,
        request_hash=b"0",
        status_code=201,
        answer={},
        created_at=database_now() - age,
    )


def test_keys_that_may_still_be_repeated_are_kept():
    """A key deleted too early lets a repeated POST place a second order."""
    keep_key("fresh", age=timedelta(minutes=1))
    keep_key("nearly expired", age=timedelta(days=settings.IDEMPOTENCY_KEY_DAYS) - timedelta(minutes=1))
    keep_key("expired", age=timedelta(days=settings.IDEMPOTENCY_KEY_DAYS) + timedelta(minutes=1))

    deleted = retention.clean(now=database_now())

    assert deleted["idempotency keys"] == 1
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"fresh", "nearly expired"}


def keep_batch(at: datetime) -> None:
    Batch.objects.create(size=1, started_at=at)


def keep_step(at: datetime) -> None:
    StepRun.objects.create(batch_id=1, step="settle", began_at=at)


def keep_event(at: datetime) -> None:
    WebhookEvent.objects.create(id=at.isoformat(), received_at=at)


def keep_run(at: datetime) -> None:
    ScheduledRun.objects.create(name="audit", slot=int(at.timestamp()), started_at=at)


@pytest.mark.parametrize(
    ("what", "keep", "days"),
    [
        ("batches", keep_batch, 7),
        ("steps of batches", keep_step, 7),
        ("webhook events", keep_event, 7),
        ("scheduled runs", keep_run, 2),
    ],
)
def test_records_are_kept_for_their_days(what: str, keep: Callable[[datetime], None], days: int) -> None:
    now = database_now()
    for age in (timedelta(minutes=1), timedelta(days=days, minutes=-1), timedelta(days=days, minutes=1)):
        keep(now - age)

    assert retention.clean(now=now)[what] == 1
    assert retention.clean(now=now)[what] == 0


def test_held_orders_are_cancelled_once_their_days_have_passed() -> None:
    now, days = database_now(), timedelta(days=settings.HELD_ORDER_DAYS)
    ages = [timedelta(0), days - timedelta(minutes=1), days + timedelta(minutes=1), days + timedelta(days=1)]
    for age in ages:
        placed = make_order((make_product(), 1), hold=True)
        Order.objects.filter(pk=placed.order_id).update(placed_at=now - age)

    assert held.expire(now=now) == 2
    ended = [order.journey.status for order in Order.objects.select_related("journey").order_by("pk")]
    assert ended == [Status.PENDING, Status.PENDING, Status.CANCELLED, Status.CANCELLED]
