"""The page where operators record payments by hand."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from orders.models import Journey, Order
from payments.models import ManualEntry
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def order(settings) -> Order:
    """One mug at 10.00 and 5.00 for shipping, to be paid by transfer."""
    settings.PAYMENT_GATEWAY, settings.PAYMENT_GATEWAYS = "in_process", {"manual": ""}
    make_shipping()
    placed = make_order((make_product("Mug"), 1))
    Order.objects.update(payment_gateway="manual")
    work_off()
    return Order.objects.get(pk=placed.order_id)


@pytest.fixture
def send(client, operator, order):
    address = reverse("admin:orders_order_paid", args=[order.pk])

    def send(way: str, amount: str, reference: str) -> str:
        sent = {"way": way, "amount": amount, "reference": reference}
        page = client.post(address, sent, follow=True) if way else client.get(address)
        return " ".join(page.content.decode().split())

    return send


def test_what_arrives_is_recorded_once_with_what_is_missing_and_too_much(send, order):
    assert "<strong>15.00 USD</strong>" in send("", "", "")
    page = send("received", "4.50", "transfer 1")
    assert "4.50 USD is recorded as received." in page
    assert "<strong>10.50 USD</strong>" in page
    send("received", "4.50", "transfer 1")
    assert ManualEntry.objects.filter(kind="received").count() == 1
    assert '<strong class="desk-urgent">1.00 USD</strong>' in send("received", "11.50", "transfer 2")
    work_off()
    journey = Journey.objects.get()
    assert (journey.status, "1.00 USD too much" in journey.attention) == ("confirmed", True)
    page = send("returned", "1.00", "transfer 8")
    assert "desk-urgent" not in page
    assert Journey.objects.get().attention == ""
    for shown in ("Paid back", "transfer 8", "olga"):
        assert shown in page
    told = [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]
    assert told[-1] == "Paid back 1.00 USD by hand (transfer 8)."
    assert len(told) == 3


def test_what_is_wrong_stands_at_its_field(send, order):
    send("received", "4.50", "transfer 1")
    for way, amount, reference, why in (
        ("received", "4.60", "transfer 1", "This reference is known with another amount."),
        ("returned", "0.01", "transfer 2", "Only 0.00 is too much."),
        ("received", "1.001", "transfer 3", "USD has at most 2 decimals."),
        ("received", "0", "transfer 4", "Enter an amount."),
        ("received", "1", "", "This field is required."),
        ("elsewhere", "1", "transfer 5", "Select a valid choice."),
    ):
        assert why in send(way, amount, reference)
    assert ManualEntry.objects.exclude(kind="authorize").count() == 1


def test_only_operators_of_orders_that_are_paid_by_hand_get_the_page(client, operator, order):
    address = reverse("admin:orders_order_paid", args=[order.pk])
    page = reverse("admin:orders_order_change", args=[order.pk])
    assert address in client.get(page).content.decode()
    Order.objects.update(payment_gateway="in_process")
    assert address not in client.get(page).content.decode()
    assert "not paid by hand" in client.get(address, follow=True).content.decode()
    operator.user_permissions.set(Permission.objects.filter(codename__in=["view_order", "refund_order"]))
    assert client.get(address).status_code == 403
