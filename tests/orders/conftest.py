"""A small shop, and the people who use its API."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.test import APIClient

from inventory.models import Product, StockItem
from orders.maintenance import audit
from orders.models import Journey
from sandbox.process import SandboxProcess
from shipping.quotes import forget_price_lists
from tests.factories import make_product, make_shipping, make_token, make_user
from tests.fixtures.pipeline import work_off

PRODUCTS = [(1, "TEE-1", "T-shirt", "29.99"), (2, "BAG-1", "Bag", "149.99"), (3, "LAP-1", "Laptop", "999.99")]


@pytest.fixture
def shop(db: None) -> None:
    """Three products, the first two at the ids and prices of the manual."""
    forget_price_lists()
    for number, sku, name, price in PRODUCTS:
        product = Product.objects.create(id=number, sku=sku, name=name, price=price, weight_grams=100)
        StockItem.objects.create(product=product, on_hand=100)


@pytest.fixture
def unlimited(settings: Any) -> None:
    """No throttling."""
    settings.THROTTLE_RATES = dict.fromkeys(("reads", "writes", "logins"), "off")


def client_of(user: User | None = None, **headers: str) -> APIClient:
    client = APIClient(headers=headers)
    if user:
        client.force_authenticate(user)
    return client


@pytest.fixture
def alice(shop: None) -> User:
    return User.objects.create_user("alice")


@pytest.fixture
def bob(shop: None) -> User:
    return User.objects.create_user("bob")


@pytest.fixture
def clerk(shop: None) -> User:
    """Staff who may look, and do nothing."""
    return make_user("clerk", is_staff=True)


@pytest.fixture
def operator(shop: None) -> User:
    user = make_user("operator", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="operate_order"))
    return user


@pytest.fixture
def as_alice(alice: User, unlimited: None) -> APIClient:
    return client_of(alice)


@pytest.fixture
def as_operator(operator: User, unlimited: None) -> APIClient:
    return client_of(operator)


@pytest.fixture
def place(as_alice: APIClient) -> Callable[..., dict[str, Any]]:
    """Place one of Alice's orders over the API."""

    def place_order(**fields: Any) -> dict[str, Any]:
        response = as_alice.post("/api/orders", an_order(**fields))
        assert response.status_code == 201, response.content
        return response.json()

    return place_order


def an_order(**fields: Any) -> dict[str, Any]:
    return {"customerName": "Alice", "items": [{"productId": 1, "quantity": 2, "price": 29.99}]} | fields


# --- Money ------------------------------------------------------------------------------------------------


@pytest.fixture
def audited_shop(providers: SandboxProcess, settings: Any) -> Iterator[None]:
    """A shop that is paid at the sandbox; the audit finds nothing wrong afterwards."""
    make_shipping()
    settings.EXTERNAL_RETRY_ATTEMPTS = 1
    yield
    assert [str(v) for v in audit.run().violations if "no order" not in v.details] == []


class Api:
    """A user at the API for captures and refunds."""

    def __init__(self, user: User) -> None:
        self.headers = {"Authorization": f"Bearer {make_token(user)}"}

    def post(self, path: str, body: dict[str, Any], key: str = "") -> Any:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return Client().post(f"/api/orders{path}", body, content_type="application/json", headers=headers)

    def get(self, path: str) -> Any:
        return Client().get(f"/api/orders{path}", headers=self.headers)

    def place(self, **more: Any) -> Any:
        """Three things at 10.00 and 5.00 for shipping, to be captured later."""
        items = [{"productId": make_product(price="10.00", units=3).pk, "quantity": 3}]
        body = {"customerName": "Alice", "items": items, "payment": {"token": "tok_demo"}, "capture": "later"}
        return self.post("", body | more)

    def capture(self, order_id: int, key: str = "", **body: Any) -> Any:
        return self.post(f"/{order_id}/captures", body, key)

    def captures(self, order_id: int) -> Any:
        return self.get(f"/{order_id}/captures").json()

    def refund(self, order_id: int, key: str = "", **body: Any) -> Any:
        return self.post(f"/{order_id}/refunds", body, key)

    def refunds(self, order_id: int) -> Any:
        return self.get(f"/{order_id}/refunds").json()

    def exported(self, order_id: int) -> dict[str, Any]:
        lines = b"".join(self.get("/export").streaming_content).splitlines()
        (row,) = (row for row in map(json.loads, lines) if row["id"] == order_id)
        return dict(row)

    def refund_state(self, order_id: int) -> tuple[str, float]:
        """Return state and amount, which are the same in the order, lists, filters and exports."""
        order = self.get(f"/{order_id}").json()
        state = order["refundState"]
        for of in ("none", "partly", "refunded"):
            listed = {row["id"]: row for row in self.get(f"?refundState={of}").json()["results"]}
            assert (order_id in listed) is (of == state)
            assert not listed or listed[order_id]["refundState"] == state
        row = self.exported(order_id)
        assert (row["refundState"], row["refundedAmount"]) == (state, order["refundedAmount"])
        return state, order["refundedAmount"]


@pytest.fixture
def staff() -> Api:
    """An operator whose shop captures at its shipments."""
    user = make_user(is_staff=True)
    for codename in ("operate_order", "price_order"):
        user.user_permissions.add(Permission.objects.get(codename=codename))
    return Api(user)


@pytest.fixture
def confirmed(staff: Api) -> int:
    """An order of 35.00, confirmed and not captured."""
    order_id: int = staff.place().json()["id"]
    work_off()
    journey = Journey.objects.get(order_id=order_id)
    assert (journey.status, journey.payment) == ("confirmed", "held")
    return order_id
