"""What each group at the desk may see and do, in admin and over the API: all of it, and nothing else."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from rest_framework.test import APIClient

from config.groups import GROUPS
from inventory.models import Product
from notifications.models import Channel, Kind, Notification, State
from orders.models import Batch, Order
from shipping.models import Zone
from tests.factories import make_order, make_product, make_shipping

pytestmark = pytest.mark.django_db

SUPPORT, FINANCE, WAREHOUSE, READ_ONLY = GROUPS
ALL = set(GROUPS)
NOBODY: set[str] = set()

# Where, with which method, and who may. A page that may be looked at may not therefore be changed.
ADMIN = [
    ("get", "/admin/", ALL),
    ("get", "/admin/orders/order/", ALL),
    ("get", "/admin/orders/order/{order}/change/", ALL),
    ("get", "/admin/orders/order/operate/process/?order={order}", {SUPPORT}),
    ("get", "/admin/orders/order/operate/cancel/?order={order}", {SUPPORT}),
    ("get", "/admin/orders/order/operate/complete/?order={order}", {SUPPORT, WAREHOUSE}),
    ("get", "/admin/orders/order/operate/refund/?order={order}", {SUPPORT, FINANCE}),
    ("get", "/admin/orders/order/operate/retry/?order={order}", {SUPPORT, FINANCE}),
    ("post", "/admin/orders/order/operate/cancel/?order={order}", {SUPPORT}),
    ("get", "/admin/orders/order/export/", ALL),
    ("post", "/admin/orders/order/{order}/note/", {SUPPORT, FINANCE, WAREHOUSE}),
    ("post", "/admin/orders/order/{order}/handle/", {SUPPORT, FINANCE, WAREHOUSE}),
    ("post", "/admin/orders/order/{order}/resend/mail/{mail}/", {SUPPORT}),
    ("get", "/admin/orders/batch/{batch}/change/", ALL),
    ("get", "/admin/payments/money-at-risk/", {FINANCE, READ_ONLY}),
    ("get", "/admin/payments/transactions/", {FINANCE, READ_ONLY}),
    ("get", "/admin/inventory/product/", {SUPPORT, WAREHOUSE, READ_ONLY}),
    ("get", "/admin/inventory/product/add/", {WAREHOUSE}),
    ("post", "/admin/inventory/product/{product}/change/", {WAREHOUSE}),
    ("get", "/admin/inventory/product/{product}/adjust/", {WAREHOUSE}),
    ("get", "/admin/inventory/stockchange/", {SUPPORT, WAREHOUSE, READ_ONLY}),
    ("get", "/admin/shipping/zone/", ALL),
    ("post", "/admin/shipping/zone/{zone}/change/", {WAREHOUSE}),
    ("get", "/admin/notifications/notification/", {SUPPORT, READ_ONLY}),
    ("get", "/admin/notifications/subscription/", {READ_ONLY}),
    ("get", "/admin/notifications/subscription/add/", NOBODY),
    ("get", "/admin/scheduling/runs/", {READ_ONLY}),
    ("get", "/admin/auth/user/", NOBODY),
    ("get", "/admin/django_celery_beat/periodictask/", NOBODY),
]
API = [
    ("get", "/api/orders/{order}", ALL),
    ("get", "/api/orders/{order}/explanation", ALL),
    ("get", "/api/orders/{order}/tasks", ALL),
    ("post", "/api/orders/{order}/process", {SUPPORT}),
    ("post", "/api/orders/{order}/cancel", {SUPPORT}),
    ("post", "/api/orders/{order}/complete", {SUPPORT, WAREHOUSE}),
    ("post", "/api/orders/{order}/refund", {SUPPORT, FINANCE}),
    ("post", "/api/orders/{order}/retry", {SUPPORT, FINANCE}),
    ("get", "/api/orders/stuck", ALL),
    ("post", "/api/orders/stuck/retry", {SUPPORT, FINANCE}),
    ("post", "/api/orders/stuck/cancel", {SUPPORT}),
    ("get", "/api/payments/at-risk", {FINANCE, READ_ONLY}),
    ("get", "/api/payments/transactions", {FINANCE, READ_ONLY}),
    ("get", "/api/inventory", ALL),
    ("post", "/api/inventory", {WAREHOUSE}),
    ("patch", "/api/inventory/{product}", {WAREHOUSE}),
    ("post", "/api/inventory/{product}/adjust", {WAREHOUSE}),
    ("get", "/api/inventory/{product}/changes", {SUPPORT, WAREHOUSE, READ_ONLY}),
    ("get", "/api/shipping/zones", ALL),
    ("post", "/api/shipping/zones", {WAREHOUSE}),
    ("put", "/api/shipping/zones/{zone}", {WAREHOUSE}),
    ("delete", "/api/shipping/zones/{zone}", {WAREHOUSE}),
    ("post", "/api/notifications/{mail}/send-again", {SUPPORT}),
    ("get", "/api/webhooks", NOBODY),
    ("get", "/api/system/status", ALL),
    ("get", "/api/system/nodes", ALL),
]
BODIES = {
    "/api/orders/stuck/retry": {"cause": "attention:poison"},
    "/api/orders/stuck/cancel": {"cause": "attention:poison", "reason": "why"},
}


@pytest.fixture
def things(settings) -> dict[str, int]:
    """One of each thing, by what the addresses above call it."""
    settings.SECURE_SSL_REDIRECT = False
    call_command("groups")
    make_shipping()
    order = make_order((make_product(), 1), hold=True)
    mail = Notification.objects.create(
        order_id=order.order_id,
        sequence=1,
        owner_id=Order.objects.get().owner_id,
        kind=Kind.CONFIRMED,
        channel=Channel.EMAIL,
        recipient="a@example.com",
        state=State.SENT,
    )
    return {
        "order": order.order_id,
        "product": Product.objects.get().pk,
        "zone": Zone.objects.get().pk,
        "batch": Batch.objects.create(size=1, order_ids=[order.order_id]).pk,
        "mail": mail.pk,
    }


def member_of(name: str) -> User:
    user = User.objects.create_user(f"member of {name}", is_staff=True)
    user.groups.add(Group.objects.get(name=name))
    return user


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_reaches_of_the_desk_what_it_should(client, things, group):
    client.force_login(member_of(group))
    may = {
        f"{m} {path}" for m, path, _ in ADMIN if getattr(client, m)(path.format(**things)).status_code != 403
    }
    assert may == {f"{method} {path}" for method, path, who in ADMIN if group in who}


@pytest.mark.parametrize("group", GROUPS)
def test_each_group_may_over_the_api_what_it_should(things, group):
    client = APIClient()
    client.force_authenticate(member_of(group))

    def status(method: str, path: str) -> int:
        return getattr(client, method)(path.format(**things), BODIES.get(path)).status_code

    may = {f"{method} {path}" for method, path, _ in API if status(method, path) != 403}
    assert may == {f"{method} {path}" for method, path, who in API if group in who}


@pytest.mark.parametrize("group", GROUPS)
def test_only_who_sees_notifications_at_the_desk_sees_those_of_others_over_the_api(things, group):
    client = APIClient()
    client.force_authenticate(member_of(group))
    seen = client.get("/api/notifications").json()["results"]
    assert bool(seen) == (group in {SUPPORT, READ_ONLY})


@pytest.mark.parametrize("group", GROUPS)
def test_only_who_may_change_notifications_notes_that_one_of_others_was_read(things, group):
    client = APIClient()
    client.force_authenticate(member_of(group))

    client.post(f"/api/notifications/{things['mail']}/read")

    assert (Notification.objects.get().read_at is not None) == (group == SUPPORT)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_from_which_the_orders_are_taken_sees_none_over_the_api(things, group):
    client = APIClient()
    path = f"/api/orders/{things['order']}"
    client.force_authenticate(member_of(group))
    assert client.get(path).status_code == 200

    Group.objects.get(name=group).permissions.remove(Permission.objects.get(codename="view_order"))

    client.force_authenticate(User.objects.get(groups__name=group))
    assert client.get(path).status_code == 404
    assert client.get("/api/orders").json()["results"] == []
    assert client.get("/api/system/status").status_code == 403


def test_nobody_without_a_group_reaches_anything(client, things):
    user = User.objects.create_user("bare", is_staff=True)
    client.force_login(user)
    api = APIClient()
    api.force_authenticate(user)
    for method, path, _ in ADMIN[1:]:
        assert getattr(client, method)(path.format(**things)).status_code == 403, path
    for method, path, _ in API:
        if method != "get":
            assert getattr(api, method)(path.format(**things), BODIES.get(path)).status_code in (403, 404), (
                path
            )


def test_a_group_that_is_there_keeps_what_people_gave_it():
    call_command("groups")
    Group.objects.get(name=FINANCE).permissions.clear()
    call_command("groups")
    assert not Group.objects.get(name=FINANCE).permissions.exists()
