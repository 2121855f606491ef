"""An answer offers the commands that its reader may run on the order now, and tells when it was completed."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.models import Product
from orders import commands
from orders.models import Order
from tests.factories import make_order, make_shipping, make_user
from tests.orders.conftest import an_order, client_of

pytestmark = pytest.mark.django_db(transaction=True)

COMMANDS = {"process", "complete", "cancel", "ticket"}


@pytest.fixture
def warehouse(shop):
    """Staff who see all orders and may complete them."""
    user = make_user("warehouse", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_order", "complete_order"]))
    return user


@pytest.fixture
def product(shop):
    make_shipping()
    return Product.objects.get(sku="TEE-1")


@pytest.fixture
def people(alice, clerk, warehouse, operator, unlimited):
    clerk.user_permissions.set(Permission.objects.filter(codename="view_order"))
    operator.user_permissions.add(Permission.objects.get(codename="view_order"))
    everyone = {"owner": alice, "clerk": clerk, "warehouse": warehouse, "operator": operator}
    return {name: client_of(type(user).objects.get(pk=user.pk)) for name, user in everyone.items()}


@pytest.fixture
def order_at(alice, product, providers, drain):
    def order_at(stage):
        order = make_order((product, 1), owner=alice, hold=stage in ("held", "cancelled"))
        if stage not in ("pending", "held", "cancelled"):
            drain()
        if stage == "completed":
            commands.complete_order(order_id=order.order_id)
        if stage == "cancelled":
            commands.cancel_order(order_id=order.order_id, reason="")
        return Order.objects.get(pk=order.order_id)

    return order_at


def commands_in(answer):
    return answer["links"].keys() & COMMANDS


@pytest.mark.parametrize(
    ("stage", "offered"),
    [
        ("held", {"owner": "process cancel ticket", "operator": "process complete cancel ticket"}),
        ("pending", {"owner": "cancel ticket", "operator": "complete cancel ticket"}),
        ("confirmed", {"owner": "cancel ticket", "operator": "complete cancel ticket"}),
        ("completed", {"owner": "ticket", "operator": "ticket", "warehouse": ""}),
        ("cancelled", {"owner": "ticket", "operator": "ticket", "warehouse": ""}),
    ],
)
def test_each_reader_is_offered_what_has_an_effect(stage, offered, people, order_at):
    order = order_at(stage)
    for name, wanted in ({"clerk": "", "warehouse": "complete"} | offered).items():
        read, listed = people[name].get(f"/api/orders/{order.pk}"), people[name].get("/api/orders")
        for answer in (read.json(), listed.json()["results"][0]):
            assert commands_in(answer) == set(wanted.split()), name
        for command in sorted(COMMANDS - set(wanted.split())):
            answer = people[name].post(f"/api/orders/{order.pk}/{command}")
            changed = answer.status_code < 300 and answer.json().get("version") != read.json()["version"]
            assert not changed, f"{name} could {command}"


def test_what_is_offered_is_possible(people, order_at):
    for stage in ("held", "pending", "confirmed"):
        for name, client in people.items():
            for command in COMMANDS:
                order = order_at(stage)
                if link := client.get(f"/api/orders/{order.pk}").json()["links"].get(command):
                    assert client.post(link).status_code < 300, f"{name} could not {command} {stage}"


def test_a_refunded_order_still_tells_when_it_was_completed(people, order_at):
    order = order_at("completed")
    before = people["owner"].get(f"/api/orders/{order.pk}").json()["completedAt"]
    commands.cancel_order(order_id=order.pk, reason="", returning=True)
    read = people["owner"].get(f"/api/orders/{order.pk}").json()
    listed = people["owner"].get("/api/orders").json()["results"][0]
    assert before
    assert [each["completedAt"][:19] for each in (read, listed)] == [before[:19]] * 2


@pytest.mark.parametrize("hold", [True, False])
def test_the_answer_to_placing_offers_it_too(hold, as_alice):
    placed = as_alice.post("/api/orders", an_order(hold=hold)).json()
    assert commands_in(placed) == {"cancel", "ticket"} | ({"process"} if hold else set())


def test_a_customer_costs_no_query_about_permissions(people, order_at):
    order_at("held")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        people["owner"].get("/api/orders")
    assert not [each["sql"] for each in asked.captured_queries if "auth_" in each["sql"]]
