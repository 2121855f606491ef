"""Requests sent again under their key, at once, to two web processes: done once, and answered alike."""

import re
from functools import partial

import pytest
import requests
from django.db import transaction
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from api.models import IdempotencyKey
from inventory.models import StockItem
from orders.models import Order, OrderEvent
from tests.factories import make_user
from tests.inventory.goods import at_once
from tests.security.conftest import make_operator, token_of

KEY = {"Idempotency-Key": "the first try"}
ORDER = {"customerName": "Alice", "items": [{"productId": 1, "quantity": 2}], "hold": True}


@pytest.fixture
def owner(shop):
    return make_user()


def post(url, body, headers):
    """Send it as a careful client does: again if it was not let in, and when it is told to come back."""
    again = Retry(10, backoff_factor=0.1, allowed_methods=None, status_forcelist=[409], raise_on_status=False)
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=again))
        return session.post(url, json=body, headers=headers, timeout=30)


def fifty_times(webs, path, body, headers):
    """Send it fifty times at once, to each process in turn."""
    urls = [web.url + path for web in webs] * 25
    return at_once([partial(post, url, body, headers) for url in urls])


def test_fifty_creates_to_two_processes_make_one_order(webs, owner):
    answers = fifty_times(webs, "/api/orders", ORDER, KEY | token_of(owner))

    assert Order.objects.count() == 1
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}


@pytest.mark.parametrize("command", ["cancel", "refund"])
def test_fifty_commands_to_two_processes_are_obeyed_once(webs, owner, command):
    who = token_of(make_operator())
    order = post(f"{webs[0].url}/api/orders", ORDER, token_of(owner)).json()["id"]

    answers = fifty_times(webs, f"/api/orders/{order}/{command}", {"reason": "Changed mind"}, KEY | who)

    assert OrderEvent.objects.filter(order=order).count() == 2
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}


REPEATABLE = {
    "/api/orders": (ORDER, ORDER | {"customerName": "Bob"}),
    "/api/orders/1/process": ({}, None),
    "/api/orders/1/complete": ({}, None),
    "/api/orders/1/cancel": ({"reason": "a"}, {"reason": "b"}),
    "/api/orders/1/refund": ({"reason": "a"}, {"reason": "b"}),
    "/api/inventory/1/adjust": ({"by": 5, "reason": "found"}, {"by": 6, "reason": "found"}),
    "/api/webhooks": ({"url": "https://shop.example/a"}, {"url": "https://shop.example/b"}),
}


def without_secret(body: bytes) -> bytes:
    return re.sub(rb'"secret":(null|"whsec_[^"]*")', b"", body)


@pytest.mark.parametrize("path", REPEATABLE)
def test_a_repeat_is_answered_alike_and_another_request_is_refused(webs, shop, path):
    body, other = REPEATABLE[path]
    boss = make_operator()
    headers = KEY | token_of(boss)
    order = post(f"{webs[0].url}/api/orders", ORDER, token_of(boss)).json()
    url = webs[0].url + path.replace("/1/", f"/{order['id']}/" if "orders" in path else "/1/")

    first, again = post(url, body, headers), post(url.replace(webs[0].url, webs[1].url), body, headers)
    conflict = post(url, other, headers) if other else None

    assert first.status_code < 300, first.text
    # A secret is shown once.
    assert (again.status_code, without_secret(again.content)) == (
        first.status_code,
        without_secret(first.content),
    )
    assert again.headers["Idempotency-Replayed"] == "true"
    assert conflict is None or conflict.status_code == 422


@pytest.mark.parametrize("path", REPEATABLE)
def test_a_repeat_of_what_is_under_way_is_told_when_to_come_back(webs, shop, path):
    body, _ = REPEATABLE[path]
    boss = make_operator()
    headers = KEY | token_of(boss)
    with transaction.atomic():
        key = {"owner_id": boss.pk, "key": KEY["Idempotency-Key"], "request_hash": b"", "answer": {}}
        IdempotencyKey.objects.create(**key, status_code=0)
        answer = requests.post(webs[1].url + path, json=body, headers=headers, timeout=30)
        transaction.set_rollback(True)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "in_progress")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_correction_of_stock_that_is_sent_again_counts_once(webs, shop):
    headers = KEY | token_of(make_operator())

    fifty_times(webs, "/api/inventory/1/adjust", {"by": 5, "reason": "found"}, headers)

    assert StockItem.objects.get(product_id=1).on_hand == 10_005
