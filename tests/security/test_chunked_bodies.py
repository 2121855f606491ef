"""Bodies without a length, as clients send that stream them: read like any other, and never taken for empty."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User

from inventory.models import Product
from orders.models import Order
from runtime import signatures
from tests.config.proxy import Proxy
from tests.factories import make_order, make_user
from tests.security.conftest import make_operator, token_of
from tests.security.web_process import WebProcess

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a secret of the provider"
LIMIT = 256 * 1024


@pytest.fixture(scope="module")
def web(django_db_setup, django_db_blocker) -> Iterator[str]:
    """The address of a web process behind the proxy, which takes webhooks."""
    limits: dict[str, Any] = dict.fromkeys(("THROTTLE_WRITES", "THROTTLE_READS", "THROTTLE_LOGINS"), "off")
    with django_db_blocker.unblock():
        process = WebProcess(PAYMENT_WEBHOOK_SECRETS=SECRET, **limits).start()
    with Proxy(web_port=process.port) as proxy:
        yield f"http://127.0.0.1:{proxy.port}"
    process.stop()


def send(web: str, method: str, path: str, body: Any, **headers: str) -> requests.Response:
    """Send a body in chunks."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    pieces = (raw[start : start + 10_000] for start in range(0, len(raw), 10_000))
    headers = {"Content-Type": "application/json"} | headers
    answer = requests.request(method, web + path, data=pieces, headers=headers, timeout=20)
    assert "chunked" in answer.request.headers["Transfer-Encoding"]
    return answer


def held_order(owner: User) -> Order:
    placed = make_order((Product.objects.earliest("id"), 1), owner=owner, hold=True)
    return Order.objects.get(pk=placed.order_id)


def test_an_order_is_placed(web, shop):
    body = {"customerName": "Alice", "items": [{"productId": 1, "quantity": 2}]}

    answer = send(web, "POST", "/api/orders", body, **token_of(make_user()))

    assert (answer.status_code, answer.json()["items"][0]["quantity"]) == (201, 2)


def test_a_change_of_a_price_is_made(web, shop):
    answer = send(web, "PATCH", "/api/inventory/1", {"price": 31.5}, **token_of(make_operator()))

    assert (answer.status_code, str(Product.objects.get(pk=1).price)) == (200, "31.50")


def test_a_cancellation_keeps_its_reason(web, shop):
    alice = make_user()
    order = held_order(alice)

    answer = send(
        web, "POST", f"/api/orders/{order.pk}/cancel", {"reason": "changed my mind"}, **token_of(alice)
    )

    order.refresh_from_db()
    assert (answer.status_code, order.journey.reason) == (200, "changed my mind")


def test_another_body_under_the_same_key_is_refused(web, shop):
    alice = make_user()
    order = held_order(alice)
    path, headers = f"/api/orders/{order.pk}/cancel", token_of(alice) | {"Idempotency-Key": "once"}

    first = send(web, "POST", path, {"reason": "one"}, **headers)
    again = send(web, "POST", path, {"reason": "one"}, **headers)
    other = send(web, "POST", path, {"reason": "two"}, **headers)

    assert [answer.status_code for answer in (first, again, other)] == [200, 200, 422]
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_webhook_of_the_payment_provider_is_verified_over_its_body(web, shop):
    operation = {
        "id": "cap_1",
        "kind": "capture",
        "status": "succeeded",
        "key": "k",
        "reference": "1",
        "amount": "1.00",
    }
    operation["currency"] = "USD"
    body = json.dumps({"id": "evt_1", "operation": operation}).encode()
    now = str(int(time.time()))
    signature = f"t={now},v1={signatures.digest(SECRET, timestamp=now, body=body)}"

    good = send(web, "POST", "/api/payments/webhook", body, **{"Webhook-Signature": signature})
    forged = send(web, "POST", "/api/payments/webhook", body + b" ", **{"Webhook-Signature": signature})

    assert (good.status_code, good.json()["status"]) == (200, "nothing_new")
    assert (forged.status_code, forged.json()["error"]["code"]) == (403, "invalid_signature")


def test_a_login_is_read(web, shop):
    answer = send(web, "POST", "/api/token", {"username": "ann", "password": "wrong"})

    assert answer.json()["error"]["code"] == "invalid_credentials"  # and not `required`


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1, 4 * LIMIT])
def test_what_is_too_large_is_refused(web, shop, size):
    body = b'{"reason": "' + b"x" * (size - 14) + b'"}'

    answer = send(web, "POST", "/api/orders/1/cancel", body, **token_of(make_user()))

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
