"""What was told long ago is forgotten; what is still to be told is not."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from notifications import retention
from notifications.models import Channel, Delivery, Kind, Notification, State, Subscription
from scheduling.slots import database_now
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def notify(order_id: int, *, days_ago: int, state: State = State.SENT) -> Notification:
    return Notification.objects.create(
        order_id=order_id,
        sequence=1,
        owner=make_user(),
        kind=Kind.CONFIRMED,
        channel=Channel.EMAIL,
        state=state,
        due_at=Now() if state == State.WAITING else None,
        created_at=database_now() - timedelta(days=days_ago),
    )


def test_old_notifications_and_deliveries_go_and_others_stay(settings):
    settings.NOTIFICATION_DAYS, settings.DELIVERY_DAYS = 100, 10
    notify(1, days_ago=101)
    waiting = notify(2, days_ago=101, state=State.WAITING)
    recent = notify(3, days_ago=99)
    subscription = Subscription.objects.create(url="https://example.com")
    told = [
        Delivery.objects.create(
            subscription=subscription,
            order_id=n,
            sequence=1,
            event="order_placed",
            state=Delivery.State.DELIVERED,
            created_at=database_now() - timedelta(days=days),
        )
        for n, days in ((1, 11), (2, 9))
    ]
    assert retention.clean(now=database_now()) == {
        "notifications": 1,
        "mail_counts": 0,
        "deliveries": 1,
    }
    assert set(Notification.objects.all()) == {waiting, recent}
    assert list(Delivery.objects.all()) == told[1:]


def test_any_number_is_forgotten_in_short_statements(settings, monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 2)
    for order_id in range(1, 6):
        notify(order_id, days_ago=1000)
    assert retention.clean(now=database_now())["notifications"] == 5


def test_what_was_put_off_by_a_clock_that_was_ahead_is_due_at_once():
    now = database_now()
    ahead, later = (notify(order_id, days_ago=0, state=State.WAITING) for order_id in (1, 2))
    Notification.objects.filter(pk=ahead.pk).update(due_at=now + timedelta(days=3))
    Notification.objects.filter(pk=later.pk).update(due_at=now + timedelta(hours=1))
    retention.clean(now=now)
    due = dict(Notification.objects.values_list("pk", "due_at"))
    became = due[ahead.pk]
    assert became is not None
    assert became <= database_now()
    assert due[later.pk] == now + timedelta(hours=1)
