"""Cross-site requests that a browser sends without preflight: a demo has no logins, so they could act."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient
from rest_framework.views import APIView

from api.authentication import DemoAuthentication, forget_demo_customer
from orders.models import Order
from tests.factories import make_order, make_product, make_token, make_user

pytestmark = pytest.mark.django_db

FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://testserver.evil.example"},
    {"Origin": "http://[broken"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]
OURS: list[dict[str, str]] = [
    {},
    {"Origin": "http://testserver"},
    {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.fixture
def demo(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """The demo customer, whom every visitor acts as."""
    settings.DEMO = True
    settings.THROTTLE_RATES = dict.fromkeys(("reads", "writes", "logins"), "off")
    for view in _views(APIView):
        if view.authentication_classes == APIView.authentication_classes:
            monkeypatch.setattr(view, "authentication_classes", [DemoAuthentication])
    forget_demo_customer()
    yield make_user("demo")
    forget_demo_customer()


def _views(kind: type[APIView]) -> list[type[APIView]]:
    return [found for child in kind.__subclasses__() for found in (child, *_views(child))]


def cancel(order_id: int, headers: dict[str, str]) -> tuple[int, str]:
    answer = APIClient().post(f"/api/orders/{order_id}/cancel", headers=headers)
    return answer.status_code, answer.json().get("error", {}).get("code", "")


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_changes_nothing(demo, headers):
    order = make_order((make_product(), 1), owner=demo, hold=True)

    assert cancel(order.order_id, headers) == (403, "foreign_origin")
    placed = APIClient().post("/api/board/orders", headers=headers)
    assert placed.status_code == 403
    assert Order.objects.get().journey.status == "pending"


@pytest.mark.parametrize("headers", OURS)
def test_our_own_pages_and_programs_do(demo, headers):
    order = make_order((make_product(), 1), owner=demo, hold=True)

    assert cancel(order.order_id, headers) == (200, "")


def test_a_trusted_site_does(demo, settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://*.shop.example"]
    order = make_order((make_product(), 1), owner=demo, hold=True)

    assert cancel(order.order_id, {"Origin": "https://eu.shop.example"}) == (200, "")


def test_who_brings_a_token_may_come_from_anywhere(db, settings):
    settings.THROTTLE_RATES = dict.fromkeys(("reads", "writes", "logins"), "off")
    alice = make_user()
    order = make_order((make_product(), 1), owner=alice, hold=True)
    headers = {"Origin": "https://app.example", "Authorization": f"Bearer {make_token(alice)}"}

    assert cancel(order.order_id, headers) == (200, "")


def test_a_foreign_page_may_read_what_anybody_may(demo):
    assert APIClient().get("/api/orders", headers=FOREIGN[0]).status_code == 200
