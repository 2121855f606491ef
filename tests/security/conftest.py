"""A shop with something of everything in it, people who use it, and web processes that serve it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection

from inventory.models import Product, StockItem
from tests.factories import make_shipping, make_token, make_user
from tests.security.web_process import WebProcess

# Those that the examples in the API's description order, at its prices.
PRODUCTS = [("T-shirt", "29.99"), ("Bag", "149.99"), ("Laptop", "999.99"), ("Mouse", "29.99")]


@pytest.fixture
def shop(transactional_db: None) -> None:
    """Products with stock, the first two with the ids 1 and 2, and a tariff to send them."""
    for number, (name, price) in enumerate(PRODUCTS, start=1):
        product = Product.objects.create(
            id=number, sku=f"SKU-{number}", name=name, price=price, weight_grams=100
        )
        StockItem.objects.create(product=product, on_hand=10_000)
    with connection.cursor() as cursor:  # the next ones get the ids after these
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('inventory_product', 'id'), %s)", [len(PRODUCTS)]
        )
    make_shipping()


@pytest.fixture(scope="package")
def webs(django_db_setup: None, django_db_blocker: Any) -> Iterator[list[WebProcess]]:
    """Two web processes without throttling, for all tests, as each takes a while to start."""
    limits: dict[str, Any] = {"THROTTLE_WRITES": "off", "THROTTLE_READS": "off", "THROTTLE_LOGINS": "off"}
    limits |= {"REQUESTS_AT_ONCE": "1000", "THROTTLE_WRONG_TOKENS": "off"}
    with django_db_blocker.unblock():
        # The second has a short lock timeout, so that tests need not wait for it.
        started = [WebProcess(**limits).start(), WebProcess(lock_timeout_ms=100, **limits).start()]
    yield started
    for web in started:
        web.stop()


def make_operator() -> User:
    """Return staff who may do everything that is not an administrator's alone."""
    user = make_user(is_staff=True)
    ours = ("orders", "inventory", "payments", "shipping", "notifications", "scheduling", "limits")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=ours))
    return user


def token_of(user: User) -> dict[str, str]:
    """Return the headers that let a user in."""
    return {"Authorization": f"Token {make_token(user)}"}
