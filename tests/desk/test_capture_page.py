"""The page that captures a part of an order: form, preview, capture, and what the order's page has of it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from orders import commands
from orders.maintenance import archive
from orders.maintenance.expiry import ExpiryWatch
from orders.models import Order, OrderEvent
from orders.refunding import capturing, parts
from orders.refunding.amounts import Wish
from payments.models import Transaction
from scheduling.slots import database_now
from tests.desk.test_refund_page import of_state, page_of, said
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def authorized(providers) -> Order:
    """Three cups at 10.00 and 5.00 for shipping, authorized."""
    make_shipping()
    placed = make_order((make_product("Cup", price="10.00", units=3), 3), capture_later=True)
    work_off()
    return Order.objects.select_related("journey").get(pk=placed.order_id)


class Desk:
    """The page of an order, as a browser uses it."""

    def __init__(self, client: Client, order: Order) -> None:
        self.client, self.address = client, reverse("admin:orders_order_capture", args=[order.pk])
        self.token = str(self.open().context["form"]["token"].value())

    def open(self) -> Any:
        return self.client.get(self.address)

    def send(self, step: str, **fields: Any) -> Any:
        sent = {"token": self.token, "step": step, "reason": "First parcel"} | fields
        return self.client.post(self.address, sent, follow=True)


@pytest.fixture
def desk(client, operator, authorized) -> Desk:
    return Desk(client, authorized)


def captures() -> list[tuple[int, str]]:
    found = Transaction.objects.filter(kind="capture").order_by("number")
    return [(int(amount), state) for amount, state in found.values_list("amount", "state")]


def test_the_preview_shows_what_is_captured_and_what_is_left_and_captures_nothing(desk):
    for amount, button, left in (
        ("10", "Capture 10.00 USD</button>", "25.00"),
        ("", "Capture 35.00 USD</button>", "0.00"),
    ):
        page = " ".join(desk.send("preview", amount=amount).content.decode().split())
        for shown in (button, f">{left} USD<", "First parcel", "nothing is captured yet"):
            assert shown in page
    assert captures() == []


def test_what_was_previewed_is_captured_once_and_logged_with_who_and_why(client, desk, operator, authorized):
    first, second = (desk.send("capture", amount="10", expected="10.00") for _ in range(2))
    assert said(first) == said(second) == [f"Capture 1 of {authorized.number}, 10.00 USD, is requested."]
    event = OrderEvent.objects.get(order_id=authorized.pk, type="capture_requested")
    assert (event.data["by"], event.data["reason"]) == (operator.pk, "First parcel")
    (entry,) = LogEntry.objects.filter(user=operator)
    assert entry.get_change_message() == "Capture of 10.00 USD (First parcel): requested, number 1."
    work_off()
    assert captures() == [(10, "succeeded")]
    assert "10.00 USD of 35.00 USD is captured, 25.00 USD is left." in page_of(client, authorized)


def test_a_form_that_was_sent_captures_nothing_else(desk):
    desk.send("capture", amount="10", expected="10.00")
    work_off()
    answer = desk.send("capture", amount="11", expected="11.00")
    assert said(answer) == ["This form was sent before, as another capture. Nothing more is captured."]
    assert captures() == [(10, "succeeded")]


def test_what_is_wrong_stands_at_its_field(desk):
    for fields, place, why in (
        ({"amount": "35.01"}, "amount", "Only 35.00 is left to capture."),
        ({"amount": "0"}, "amount", "Only 35.00 is left to capture."),
        ({"amount": "1.001"}, "amount", "USD has at most 2 decimals."),
        ({"amount": "ten"}, "amount", "Enter a number."),
        ({"amount": "1", "reason": "Par\u200bcel"}, "reason", "Control, invisible"),
    ):
        errors = desk.send("preview", **fields).context["form"].errors
        assert list(errors) == [place], fields
        assert errors[place][0].startswith(why)
    answer = desk.send("capture", amount="36", expected="36.00")
    assert answer.context["form"].errors["amount"] == ["Only 35.00 is left to capture."]
    assert captures() == []


def test_only_who_may_capture_gets_the_page(client, operator, authorized):
    address = reverse("admin:orders_order_capture", args=[authorized.pk])
    for codes, status in (
        (["view_order", "refund_order"], 403),
        (["operate_order"], 403),
        (["view_order", "operate_order"], 200),
    ):
        operator.user_permissions.set(Permission.objects.filter(codename__in=codes))
        assert client.get(address).status_code == client.post(address, {}).status_code == status
    assert address in page_of(client, authorized)
    operator.user_permissions.set(Permission.objects.filter(codename="view_order"))
    assert address not in page_of(client, authorized)


def test_what_cannot_be_captured_leads_back_to_the_order(client, operator, authorized, settings, order):
    def refusal(of: Order) -> list[str]:
        return said(client.get(reverse("admin:orders_order_capture", args=[of.pk]), follow=True))

    assert refusal(order) == ["A pending order cannot be captured."]
    capturing.capture_part(order_id=authorized.pk, amount=Decimal(10))
    assert refusal(authorized) == ["An earlier capture of this order is under way."]
    work_off()
    settings.PAYMENT_AUTHORIZATION_DAYS = 7
    assert "25.00 USD is left, held until " in page_of(client, authorized)
    Transaction.objects.filter(kind="authorize").update(finished_at=database_now() - timedelta(days=7))
    assert refusal(authorized) == ["The authorization has expired: what is left of it is not held any more."]


def test_lists_and_pages_show_it_refunded_once_all_that_was_captured_is(
    client, operator, authorized, settings
):
    capturing.capture_part(order_id=authorized.pk, amount=Decimal(10))
    work_off()
    parts.refund_part(order_id=authorized.pk, wish=Wish(amount=Decimal(10)))
    work_off()
    assert "Confirmed, refunded" in of_state(client, "refunded")
    assert authorized.number not in of_state(client, "partly")
    settings.PAYMENT_AUTHORIZATION_DAYS = 7
    Transaction.objects.filter(kind="authorize").update(finished_at=database_now() - timedelta(days=7))
    ExpiryWatch().look()
    assert "25.00 USD is held no more." in page_of(client, authorized)
    commands.retry_order(order_id=authorized.pk)
    commands.complete_order(order_id=authorized.pk)
    assert list(archive.move(before=database_now() + timedelta(seconds=1)))
    assert "Completed, refunded" in page_of(client, authorized)
