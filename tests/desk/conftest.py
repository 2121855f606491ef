"""An operator at the desk, and an order."""

import pytest
from django.contrib.auth.models import Permission, User

from orders.models import Order
from tests.factories import make_order, make_product, make_user


@pytest.fixture(autouse=True)
def plain_http(settings):
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def operator(client) -> User:
    """Staff who may see orders, write about them and resend what they sent."""
    user = make_user("olga", is_staff=True)
    wanted = (
        "view_order operate_order add_note change_handling view_notification change_notification"
        " view_delivery change_delivery"
    )
    user.user_permissions.set(Permission.objects.filter(codename__in=wanted.split()))
    client.force_login(user)
    return user


@pytest.fixture
def order(db) -> Order:
    placed = make_order((make_product("Mug"), 1), customer_name="Ann Web")
    return Order.objects.select_related("journey").get(pk=placed.order_id)
