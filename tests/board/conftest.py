"""People in front of the board, and something for them to look at."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from api.authentication import forget_demo_customer
from board.series import SERIES
from inventory.models import Product
from tests.factories import make_product, make_shipping, make_user


@pytest.fixture(autouse=True)
def unlimited(settings) -> None:
    """No throttling."""
    settings.THROTTLE_RATES = dict.fromkeys(("reads", "writes", "logins"), "off")


@pytest.fixture(autouse=True)
def fresh_series():
    """What was read of another test's journal is forgotten."""
    SERIES.forget()
    yield
    SERIES.forget()


@pytest.fixture
def product() -> Product:
    """Something to order, and a country to send it to."""
    make_shipping()
    return make_product(price="10.00", units=1000)


@pytest.fixture
def alice() -> User:
    """A customer."""
    return make_user("alice")


@pytest.fixture
def staff() -> User:
    """A member of staff."""
    return make_user("boss", is_staff=True)


@pytest.fixture
def api() -> Callable[[User | None], APIClient]:
    """Return the API as seen by a user."""

    def as_(user: User | None = None) -> APIClient:
        client = APIClient()
        if user:
            client.force_authenticate(user)
        return client

    return as_


@pytest.fixture
def browser_of() -> Callable[[User], Client]:
    """Return a browser that is logged in as a user."""

    def of(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return of


@pytest.fixture
def demo(settings) -> Iterator[User]:
    """Demo mode, and the customer that a stranger acts as."""
    settings.DEMO = True
    forget_demo_customer()
    yield make_user("demo")
    forget_demo_customer()
