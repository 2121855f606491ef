"""A small shop, and the people who use its API."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from inventory.models import Product, StockItem
from shipping.quotes import forget_price_lists
from tests.factories import make_user

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
