"""The canary: it takes the path of orders, leaves nothing behind, and stays invisible to customers."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings

from inventory.loader import load_catalogue
from inventory.models import Product, StockItem
from monitoring import health
from notifications import journal_reader
from notifications.models import EventCount, Notification
from orders import batches, queries
from orders.maintenance import audit, canary
from orders.models import Order
from orders.queries import visible_to
from orders.reporting import stats
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_token, make_user
from tests.fixtures.pipeline import lose_workers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def on(settings, providers):
    settings.CANARY_INTERVAL = 60
    queries.forget_canary_owner()
    make_shipping()
    yield
    queries.forget_canary_owner()


def take_turn() -> None:
    canary.take_turn(now=database_now())


def let_pass(time: timedelta) -> None:
    for order in Order.objects.all():
        Order.objects.filter(pk=order.pk).update(placed_at=order.placed_at - time)


def test_it_travels_like_any_order_and_is_called_off_at_the_next_turn(drain):
    take_turn()
    drain()
    flight = canary.flight()
    assert flight.last_success_at is not None
    assert flight.last_seconds is not None
    take_turn()
    drain()
    statuses = list(Order.objects.order_by("pk").values_list("journey__status", flat=True))
    assert statuses == ["cancelled", "confirmed"]
    # The provider's ledger also has what other tests paid for.
    assert [v for v in audit.run().violations if "no order" not in v.details] == []


def test_it_leaves_nothing_behind(drain):
    take_turn()
    drain()
    take_turn()
    drain()
    let_pass(timedelta(hours=2))
    take_turn()
    assert Order.objects.filter(journey__status="cancelled").count() == 0
    assert audit.run(with_ledger=False).is_clean
    stock = StockItem.objects.get()
    assert (stock.on_hand, stock.sold) == (canary.UNITS, 0)


def test_only_one_is_under_way():
    take_turn()
    take_turn()
    assert Order.objects.count() == 1


def test_nobody_can_log_in_as_it_or_order_its_product(client):
    take_turn()
    assert not Product.objects.get(sku=canary.SKU).active
    client.force_login(make_user())
    body = {"customerName": "Eve", "items": [{"sku": canary.SKU, "quantity": 1}]}
    answer = client.post("/api/orders", body, content_type="application/json")
    assert answer.json()["error"]["code"] == "unknown_product"


def test_nobody_is_told_of_it_and_nothing_counts_it(drain):
    make_order((make_product(), 1))
    take_turn()
    drain()
    assert {order.customer_name for order in visible_to(make_user(is_staff=True))} == {"Alice"}
    assert stats.orders_by_state()["confirmed"].orders == 1
    while journal_reader.record_page():
        pass
    assert Notification.objects.count() == 1
    assert EventCount.objects.get(type="order_confirmed").events == 1


def test_health_is_red_when_it_does_not_arrive_and_green_when_it_does(drain):
    take_turn()
    assert health.canary_part().state is health.State.HEALTHY
    let_pass(timedelta(minutes=1))
    assert health.canary_part().state is health.State.UNHEALTHY
    drain()
    found = health.canary_part()
    assert found.state is health.State.HEALTHY
    assert found.facts["lastSuccess"]


def test_a_provider_that_is_down_makes_it_wait_but_not_red(drain, providers):
    providers.call("PUT", "/faults/payments", {"down": True})
    try:
        take_turn()
        drain()
    finally:
        providers.call("DELETE", "/faults")
    let_pass(timedelta(minutes=1))
    found = health.canary_part()
    assert found.state is health.State.DEGRADED
    assert "payment" in found.summary


def test_one_that_was_given_up_to_a_person_turns_health_red_and_goes_on_by_itself(drain, settings):
    settings.MAX_ATTEMPTS = 1
    take_turn()
    lose_workers(2)
    batches.claim()
    let_pass(timedelta(minutes=1))
    assert Order.objects.get().journey.attention
    assert health.canary_part().state is health.State.UNHEALTHY
    take_turn()
    drain()
    assert health.canary_part().state is health.State.HEALTHY


def test_one_that_is_refused_says_why(drain):
    take_turn()
    StockItem.objects.update(on_hand=0)
    drain()
    found = health.canary_part()
    assert found.state is health.State.DEGRADED
    assert "out_of_stock" in found.summary


def test_its_product_is_not_for_sale_even_in_the_demos_catalogue(client, drain):
    load_catalogue(currency=django_settings.CURRENCY)
    Product.objects.filter(sku=canary.SKU).update(active=True)  # as the catalogue had it once
    user = make_user()
    take_turn()
    drain()
    assert canary.flight().last_success_at is not None

    client.force_login(user)
    listed = client.get("/api/inventory?q=CANARY&pageSize=200").json()
    assert canary.SKU not in str(listed)
    body = {"customerName": "A", "items": [{"sku": canary.SKU, "quantity": 1}]}
    headers = {"Authorization": f"Token {make_token(user)}"}
    answer = client.post("/api/orders", body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_product")


def test_the_demos_catalogue_does_not_sell_its_product():
    load_catalogue(currency=django_settings.CURRENCY)
    assert not Product.objects.get(sku=canary.SKU).active


def test_a_canary_in_the_future_is_not_taken_for_a_healthy_one():
    take_turn()
    let_pass(-timedelta(days=3))

    finding = health.canary_part()

    assert (finding.state, "clock was set back" in finding.summary) == (health.State.DEGRADED, True)
