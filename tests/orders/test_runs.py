"""From an order to the tasks that worked on it, and back."""

import runpy
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from inventory.models import StockItem
from launcher.procfile import PROCFILE
from orders import batches, steps
from orders.legs import STOCK
from orders.models import Batch, Order, StepRun
from orders.operators.runs import flower_url, runs_of
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import make_everything_due, work_off

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = ["Authorize payment", "Quote shipping", "Reserve stock"]


@pytest.fixture
def order(providers) -> Order:
    """An order that was confirmed."""
    make_shipping()
    placed = make_order((make_product(), 1))
    work_off()
    return Order.objects.select_related("journey").get(pk=placed.order_id)


@pytest.fixture
def admin(client, settings):
    settings.SECURE_SSL_REDIRECT = False
    client.force_login(User.objects.create_superuser("admin"))
    return client


def run_step(batch: Batch) -> None:
    in_hand = batches.acquire_batch(batch.pk, step="settle")
    assert in_hand
    batches.finish_run(in_hand)


class Task:
    """What Flower knows of a task."""

    def __init__(self, **kwargs: object) -> None:
        self.kwargs = str(kwargs)


def test_an_order_tells_which_tasks_worked_on_it(order):
    runs = runs_of(order)
    assert sorted(run.title for run in runs) == STEPS
    assert {run.orders for run in runs} == {1}
    assert all(run.seconds > 0 and run.ended_at > order.placed_at for run in runs)


def test_the_task_that_took_the_money_is_told_if_stock_came_last(providers):
    make_shipping()
    placed = make_order((make_product(), 1))
    work_off(stock_last=True)
    order = Order.objects.select_related("journey").get(pk=placed.order_id)
    assert sorted(run.title for run in runs_of(order)) == sorted([*STEPS, "Capture payment"])


def test_an_order_that_has_waited_for_days_tells_the_tasks_of_its_last_hour(order):
    early = Batch.objects.get()
    late = Batch.objects.create(size=1, order_ids=[order.pk])
    run_step(late)
    in_between = Batch.objects.create(size=1, order_ids=[order.pk])
    run_step(in_between)
    now = order.placed_at + timedelta(days=3)
    Batch.objects.filter(pk=late.pk).update(started_at=now - timedelta(minutes=1))
    Batch.objects.filter(pk=in_between.pk).update(started_at=now - timedelta(days=1))
    order.journey.finished_at = now
    assert {run.batch_id for run in runs_of(order)} == {early.pk, late.pk}


def test_the_desk_links_an_orders_tasks_to_flower_and_its_batch_to_its_orders(admin, order, settings):
    settings.FLOWER_URL = "http://flower"
    StepRun.objects.filter(step="reserve_stock").update(task="some-uuid")
    page = admin.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    batch = Batch.objects.get().pk
    assert 'href="http://flower/task/some-uuid"' in page
    assert f'href="/admin/orders/batch/{batch}/change/"' in page
    page = admin.get(f"/admin/orders/batch/{batch}/change/").content.decode()
    assert f'href="/admin/orders/order/{order.pk}/change/"' in page
    assert f'href="{flower_url(batch)}"' in page


def test_a_batch_tells_how_often_its_orders_were_lost_before(admin, order):
    again = Batch.objects.create(size=1, order_ids=[order.pk], losses=2)
    page = admin.get(f"/admin/orders/batch/{again.pk}/change/").content.decode()
    assert "crashed 2 times in a row before" in page


def test_a_batch_that_is_forgotten_is_not_found(admin):
    assert admin.get("/admin/orders/batch/999/change/").status_code == 404


def flowers_settings() -> dict[str, Any]:
    return runpy.run_path(str(PROCFILE.parent / "config" / "flowerconfig.py"))


def test_flower_does_not_start_without_a_login(monkeypatch):
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)
    with pytest.raises(ImproperlyConfigured, match="FLOWER_BASIC_AUTH"):
        flowers_settings()


def test_flower_says_where_a_tasks_orders_are(settings, monkeypatch):
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "admin:sesame")
    format_task = flowers_settings()["format_task"]
    settings.PUBLIC_URL = "https://orders.example"
    shown = format_task(Task(batch_id=12)).kwargs
    assert shown == "https://orders.example/admin/orders/batch/12/change/"
    assert format_task(Task(at_once=True)).kwargs == "{'at_once': True}"


def test_nothing_leads_to_flower_where_there_is_none(settings):
    settings.FLOWER_URL = ""
    assert flower_url(12) == flower_url(None) == ""


def test_a_trace_is_linked_if_there_is_one_and_somebody_shows_it(admin, order, settings):
    trace = f"00-{'a1' * 16}-{'b2' * 8}-01"
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_orderevent SET data = data || jsonb_build_object('trace', %s) WHERE sequence = 1",
            [trace],
        )
    address = f"/admin/orders/order/{order.pk}/change/"
    assert "a1a1" not in admin.get(address).content.decode()
    settings.TRACE_URL = "https://traces.example/trace/{trace_id}"
    assert f'href="https://traces.example/trace/{"a1" * 16}"' in admin.get(address).content.decode()
    order.events.filter(sequence=1).update(data={})
    assert "traces.example" not in admin.get(address).content.decode()


def test_a_step_is_noted_beforehand_only_where_a_batch_has_been_lost(providers):
    make_shipping()
    make_order((make_product(), 1))
    (claimed,) = batches.claim()
    assert batches.acquire_batch(claimed.batch_id, step="reserve_stock")  # and its worker dies
    assert not StepRun.objects.exists()
    make_everything_due()
    (again,) = batches.claim()
    watched = batches.acquire_batch(again.batch_id, step="reserve_stock")
    assert watched
    assert [run.ended_at for run in StepRun.objects.all()] == [None]
    batches.finish_run(watched)
    assert all(run.ended_at for run in StepRun.objects.all())


def test_a_step_that_is_tried_in_halves_is_noted_once(providers, monkeypatch):
    make_shipping()
    product = make_product()
    for _ in range(4):
        make_order((product, 1))
    reserve = StockItem.objects.reserve

    def reserve_few(*, wanted, ahead):
        if len(wanted) > 1:
            raise ValueError("too many")
        return reserve(wanted=wanted, ahead=ahead)

    monkeypatch.setattr(StockItem.objects, "reserve", reserve_few)
    (claimed,) = batches.claim()
    steps.reserve_stock(batch_id=claimed.batch_id)
    assert [(run.step, run.ended_at is not None) for run in StepRun.objects.all()] == [
        ("reserve_stock", True)
    ]
    assert Order.objects.filter(journey__stock=STOCK.RESERVED).count() == 4


def test_the_note_of_a_step_outlives_a_crash_of_postgresql():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'orders_steprun'")
        assert cursor.fetchone() == ("p",)
