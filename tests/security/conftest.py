"""A shop with something of everything in it, people who use it, and web processes that serve it."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.authtoken.models import Token

from inventory.models import Product, StockItem
from tests.factories import make_shipping, make_user
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
    make_shipping()


@pytest.fixture
def start_web(transactional_db: None) -> Iterator[Callable[..., WebProcess]]:
    """Start a web process with these settings; it ends with the test."""
    started: list[WebProcess] = []

    def start(**environment: str) -> WebProcess:
        started.append(WebProcess(**environment).start())
        return started[-1]

    yield start
    for web in started:
        web.stop()


@pytest.fixture
def unlimited_web(start_web: Callable[..., WebProcess]) -> WebProcess:
    """A web process that throttles nobody."""
    return start_web(THROTTLE_WRITES="off", THROTTLE_READS="off", THROTTLE_LOGINS="off")


def make_operator() -> User:
    """Return staff who may do everything that is not an administrator's alone."""
    user = make_user(is_staff=True)
    ours = ("orders", "inventory", "payments", "shipping", "notifications", "scheduling")
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=ours))
    return user


def token_of(user: User) -> dict[str, str]:
    """Return the headers that let a user in."""
    return {"Authorization": f"Token {Token.objects.get_or_create(user=user)[0].key}"}
