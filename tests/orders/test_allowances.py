"""Limits on an account's unpaid orders: declined payments slow it down, and the number of held orders is bounded."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from api import throttling
from inventory.models import Product
from launcher.engines import free_port
from orders.limits import declines
from orders.maintenance import held, retention
from orders.models import Journey, Order
from orders.status import Status
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_token
from tests.fixtures.pipeline import work_off
from tests.orders.conftest import an_order

pytestmark = pytest.mark.django_db(transaction=True)

Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def limited(settings: Any, providers: Any):
    """Ten declines an hour, and after a few of them three orders or ten units under way."""
    settings.DECLINES_PER_ACCOUNT = "10/h"
    settings.UNPAID_ORDERS_PER_ACCOUNT, settings.UNPAID_UNITS_PER_ACCOUNT = 3, 10
    client = redis.Redis.from_url(settings.CACHE_URL)

    def forget() -> None:
        for key in client.scan_iter("throttle:declines:*"):
            client.delete(key)

    forget()
    make_shipping()
    yield
    forget()


@pytest.fixture
def lines(alice: User, unlimited: None) -> Lines:
    """Send lines in bulk as Alice; return the lines of the answer."""
    client = Client(headers={"Authorization": f"Token {make_token(alice)}"})

    def send(*orders: dict[str, Any]) -> list[dict[str, Any]]:
        body = b"\n".join(json.dumps(order).encode() for order in orders)
        response: Any = client.post("/api/orders/bulk", body, content_type="application/x-ndjson")
        assert response.status_code == 200
        return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]

    return send


def decline(owner: User, times: int) -> None:
    product = Product.objects.get(sku="BAG-1")
    for _ in range(times):
        make_order((product, 1), owner=owner, token="tok_declined")
    work_off()


def pay(owner: User, times: int) -> None:
    product = Product.objects.get(sku="BAG-1")
    for _ in range(times):
        make_order((product, 1), owner=owner)
    work_off()


def codes(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["error"]["code"] if "error" in answer else "placed" for answer in answers]


# --- Declined payments ---


def test_whose_payments_are_declined_again_and_again_has_to_wait(limited, alice, as_alice: APIClient) -> None:
    decline(alice, 10)
    response = as_alice.post("/api/orders", an_order())
    assert (response.status_code, response.json()["error"]["code"]) == (429, "too_many_declines")
    assert 1 <= int(response["Retry-After"]) <= 360
    assert Order.objects.count() == 10


@pytest.mark.parametrize("is_handed_over", [True, False])
def test_it_waits_alone(limited, alice, bob, settings, is_handed_over: bool) -> None:
    settings.PROVIDER_HANDOVER = is_handed_over
    decline(alice, 10)
    assert declines.standing(alice.pk).wait > 0
    assert declines.standing(bob.pk) == declines.GOOD


def test_however_often_it_was_declined_the_next_token_is_never_further_away(limited, alice) -> None:
    decline(alice, 30)
    assert 350 < declines.standing(alice.pk).wait <= 360


def test_a_shop_whose_customers_are_declined_now_and_then_is_not_slowed_down(limited, alice) -> None:
    pay(alice, 20)
    decline(alice, 15)
    assert declines.standing(alice.pk) == declines.GOOD


def test_a_mistyped_card_is_no_reason(limited, alice) -> None:
    decline(alice, 4)
    assert declines.standing(alice.pk) == declines.GOOD


def test_a_later_flood_of_untried_orders_hides_no_declines(limited, alice) -> None:
    product = Product.objects.get(sku="BAG-1")
    for _ in range(10):
        make_order((product, 1), owner=alice, token="tok_declined")
    for _ in range(60):
        make_order((product, 1), owner=alice, hold=True)
    work_off()
    assert declines.standing(alice.pk).wait > 0


def test_after_a_few_declines_only_so_many_unpaid_orders_may_be_under_way(
    limited, alice, as_alice: APIClient
) -> None:
    decline(alice, 6)
    answers = [as_alice.post("/api/orders", an_order()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert answers[3].json()["error"]["code"] == "too_many_unpaid_orders"
    work_off()  # they are paid
    assert as_alice.post("/api/orders", an_order()).status_code == 201


def test_and_only_so_many_units(limited, alice, as_alice: APIClient) -> None:
    decline(alice, 6)
    many = an_order(items=[{"productId": 1, "quantity": 11}])
    assert as_alice.post("/api/orders", many).json()["error"]["code"] == "too_many_unpaid_orders"
    assert as_alice.post("/api/orders", an_order()).status_code == 201


def test_in_bulk_each_line_counts(limited, alice, lines: Lines) -> None:
    decline(alice, 6)
    assert codes(lines(*[an_order()] * 5)) == ["placed"] * 3 + ["too_many_unpaid_orders"] * 2


def test_in_bulk_each_line_is_refused_while_the_account_has_to_wait(limited, alice, lines: Lines) -> None:
    decline(alice, 10)
    assert codes(lines(an_order(), an_order())) == ["too_many_declines"] * 2


def test_a_repeat_is_answered_as_ever(limited, alice, as_alice: APIClient, lines: Lines) -> None:
    first = as_alice.post("/api/orders", an_order(), headers={"Idempotency-Key": "one"})
    placed = lines(an_order(key="two"))
    work_off()
    decline(alice, 10)
    again = as_alice.post("/api/orders", an_order(), headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert lines(an_order(key="two")) == [placed[0] | {"replayed": True}]


def test_without_valkey_nobody_is_slowed_down(limited, alice, settings) -> None:
    decline(alice, 10)
    settings.CACHE_URL = f"redis://127.0.0.1:{free_port()}/1"
    throttling.buckets.cache_clear()
    try:
        assert declines.standing(alice.pk) == declines.GOOD
        decline(alice, 1)  # and the worker goes on
    finally:
        throttling.buckets.cache_clear()


def test_an_order_that_is_paid_costs_no_statement_for_it(limited, alice, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        declines.note({})
        assert declines.standing(alice.pk) == declines.GOOD


# --- Orders on hold ---


def test_an_account_may_have_so_many_orders_on_hold(settings, as_alice: APIClient) -> None:
    settings.HELD_ORDERS_PER_ACCOUNT = 2
    answers = [as_alice.post("/api/orders", an_order(hold=True)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 409]
    error = answers[2].json()["error"]
    assert (error["code"], error["field"]) == ("too_many_held_orders", "hold")
    assert as_alice.post("/api/orders", an_order()).status_code == 201
    as_alice.post(f"/api/orders/{answers[0].json()['id']}/process")
    assert as_alice.post("/api/orders", an_order(hold=True)).status_code == 201


def test_in_bulk_too_and_a_repeat_is_none_more(settings, lines: Lines) -> None:
    settings.HELD_ORDERS_PER_ACCOUNT = 2
    orders = [an_order(hold=True, key=f"k{number}") for number in range(3)]
    assert codes(lines(*orders, an_order())) == ["placed", "placed", "too_many_held_orders", "placed"]
    assert codes(lines(*orders)) == ["placed", "placed", "too_many_held_orders"]


def test_who_holds_none_is_not_counted_with_others(settings, bob, as_alice: APIClient) -> None:
    settings.HELD_ORDERS_PER_ACCOUNT = 1
    make_order((Product.objects.get(sku="BAG-1"), 1), owner=bob, hold=True)
    assert as_alice.post("/api/orders", an_order(hold=True)).status_code == 201


def test_an_order_that_nobody_starts_is_cancelled_in_the_end(settings) -> None:
    old, young, started = (make_order((make_product(), 1), hold=hold) for hold in (True, True, False))
    now = database_now()
    for order in (old, started):
        Order.objects.filter(pk=order.order_id).update(placed_at=now - timedelta(days=31))
    assert retention.clean(now=now)["orders on hold"] == 1
    ended = Journey.objects.get(order_id=old.order_id)
    assert (ended.status, ended.reason) == (Status.CANCELLED, "held_too_long")
    assert {Journey.objects.get(order_id=o.order_id).status for o in (young, started)} == {Status.PENDING}


def test_with_no_days_set_it_is_held_for_ever(settings) -> None:
    settings.HELD_ORDER_DAYS = 0
    make_order((make_product(), 1), hold=True)
    assert held.expire(now=database_now() + timedelta(days=10_000)) == 0
