"""An order that is in a state for too long is escalated, and continues."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from orders import batches
from orders.events import STATUS_AFTER
from orders.legs import PAYMENT
from orders.maintenance import deadlines
from orders.maintenance.deadlines import DEADLINES, DeadlineWatch
from orders.models import Batch, Journey
from orders.status import Status
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

pytestmark = [pytest.mark.django_db(transaction=True)]


def order_in(status: Status, *, age: timedelta, **fields: object) -> Journey:
    """Return an order that came into this state some time ago and is scheduled for a retry."""
    journey = Journey.objects.get(pk=make_order((make_product(), 1)).order_id)
    event = next(event for event, after in STATUS_AFTER.items() if after is status)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_orderevent SET type = %s, at = now() - %s * interval '1 second' WHERE order_id = %s",
            [event.value, age.total_seconds(), journey.pk],
        )
    Journey.objects.filter(pk=journey.pk).update(status=status, **fields)
    return journey


def look() -> None:
    DeadlineWatch().look()


@pytest.mark.parametrize("status", DEADLINES)
def test_it_is_put_before_a_person_after_its_deadline_and_not_before(status):
    early = order_in(status, age=DEADLINES[status] - timedelta(minutes=1))
    late = order_in(status, age=DEADLINES[status] + timedelta(minutes=1))
    look()
    early.refresh_from_db()
    late.refresh_from_db()
    assert early.attention == ""
    assert late.attention.startswith(f"{status} for over")
    assert late.due_at is not None


def test_it_says_what_was_waited_for(db):
    waiting = order_in(Status.PROCESSING, age=timedelta(hours=2), waiting_for=PAYMENT.PROVIDER_AWAY)
    look()
    waiting.refresh_from_db()
    assert waiting.attention == "payment_provider for over 15 minutes"


def test_what_is_held_or_before_a_person_already_is_left_alone(db):
    held = order_in(Status.PENDING, age=timedelta(days=2), due_at=None)
    known = order_in(Status.PROCESSING, age=timedelta(days=2), attention="something else")
    look()
    held.refresh_from_db()
    known.refresh_from_db()
    assert (held.attention, known.attention) == ("", "something else")


def test_it_is_said_once_and_the_order_arrives_all_the_same(providers):
    make_shipping()
    late = order_in(Status.PENDING, age=timedelta(hours=2))
    look()
    look()
    work_off()
    late.refresh_from_db()
    assert (late.status, late.attention) == (Status.CONFIRMED, "")
    assert late.order.events.filter(type="attention_needed").count() == 1


def test_a_watch_looks_once_a_minute(monkeypatch):
    looks: list[Status] = []

    def look(status: Status, _: timedelta, *, waits_patiently: bool = False) -> int:
        looks.extend([] if waits_patiently else [status])
        return 0

    monkeypatch.setattr(deadlines, "escalate_overdue", look)
    watch = DeadlineWatch()
    watch.look()
    watch.look()
    assert looks == list(DEADLINES)


def test_an_order_put_off_by_a_clock_that_was_ahead_is_due_at_once():
    ahead, waiting = (Journey.objects.get(pk=make_order((make_product(), 1)).order_id) for _ in range(2))
    now = database_now()
    Journey.objects.filter(pk=ahead.pk).update(due_at=now + timedelta(days=3))
    Journey.objects.filter(pk=waiting.pk).update(due_at=now + timedelta(minutes=1))
    look()
    ahead.refresh_from_db()
    waiting.refresh_from_db()
    assert ahead.due_at is not None
    assert ahead.due_at < now + timedelta(minutes=1)
    assert waiting.due_at == now + timedelta(minutes=1)


def test_a_batch_that_starts_in_the_future_takes_nobodys_room():
    Batch.objects.create(started_at=database_now() + timedelta(days=3), size=10)
    with transaction.atomic():
        assert batches.under_way() == (0, 0, 0, 0)
