"""The page that refunds a part of an order: form, preview, refund, and the order's list of refunds."""

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
from orders.models import Credit, Order
from orders.operators.refunding import UNITS
from orders.refunding import parts
from orders.refunding.amounts import Wish
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def confirmed(providers) -> Order:
    """Three mugs at 10.00 and 5.00 for shipping, paid."""
    make_shipping()
    placed = make_order((make_product("Mug", price="10.00", units=3), 3))
    work_off()
    return Order.objects.select_related("journey").get(pk=placed.order_id)


class Desk:
    """The page of an order, as a browser uses it."""

    def __init__(self, client: Client, order: Order) -> None:
        self.client, self.address = client, reverse("admin:orders_order_refund", args=[order.pk])
        (line,) = order.lines.all()
        self.units = f"{UNITS}{line.product_id}"
        self.token = str(self.open().context["form"]["token"].value())

    def open(self) -> Any:
        return self.client.get(self.address)

    def send(self, step: str, **fields: Any) -> Any:
        sent = {"token": self.token, "step": step, "reason": "Chipped"} | fields
        return self.client.post(self.address, sent, follow=True)

    def refund(self, **fields: Any) -> Any:
        """Preview, then confirm what was shown."""
        expected = self.send("preview", **fields).context["found"].amount
        return self.send("refund", expected=expected, **fields)


@pytest.fixture
def desk(client, operator, confirmed) -> Desk:
    return Desk(client, confirmed)


def said(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def page_of(client: Client, order: Order) -> str:
    answer = client.get(reverse("admin:orders_order_change", args=[order.pk]), follow=True)
    return " ".join(answer.content.decode().split())


def test_the_preview_shows_what_is_refunded_and_what_is_left_and_refunds_nothing(desk):
    answer = desk.send("preview", **{desk.units: 2}, shipping="1.50", restock="on")
    page = " ".join(answer.content.decode().split())
    assert "Refund 21.50 USD</button>" in page
    for shown in ("1 unit<", ">3.50<", ">13.50 USD<", "The units go back to stock.", "Chipped"):
        assert shown in page
    assert not Credit.objects.exists()


def test_units_and_shipping_are_refunded_restocked_and_logged_with_who_and_why(desk, operator):
    answer = desk.refund(**{desk.units: 2}, shipping="5", restock="on")
    (credit,) = Credit.objects.all()
    assert said(answer) == [f"Refund 1 of {credit.order.number}, 25.00 USD, is requested."]
    assert (credit.amount, credit.reason, credit.requested_by) == (Decimal(25), "Chipped", operator.pk)
    assert sum(credit.units.values()) == 2
    assert credit.restock
    assert "Refund of 25.00 USD (Chipped)" in LogEntry.objects.get(user=operator).get_change_message()


def test_a_double_click_is_one_refund_even_once_nothing_is_left(desk):
    first, second = (desk.send("refund", amount="35", expected="35") for _ in range(2))
    assert said(first) == said(second)
    assert Credit.objects.count() == LogEntry.objects.count() == 1


def test_a_form_that_was_sent_refunds_nothing_else(desk):
    desk.refund(amount="10")
    answer = desk.send("refund", amount="11", expected="11")
    assert said(answer) == ["This form was sent before, as another refund. Nothing more is refunded."]
    assert Credit.objects.count() == 1


def test_what_changed_since_the_preview_is_previewed_again(desk):
    answer = desk.send("refund", **{desk.units: 1}, expected="9.99")
    assert said(answer) == ["The order was refunded meanwhile, and this comes to another amount."]
    assert answer.context["found"].amount == 10
    assert not Credit.objects.exists()


def test_what_is_wrong_stands_at_its_field(desk):
    wrong: list[tuple[str | None, dict[str, Any], str]] = [
        (desk.units, {desk.units: 4}, "Only 3 is left to refund."),
        ("shipping", {"shipping": "5.01"}, "Only 5.00 is left to refund."),
        ("amount", {"amount": "35.01"}, "Only 35.00 is left to refund."),
        ("amount", {"amount": "1.001"}, "USD has at most 2 decimals."),
        ("amount", {"amount": "1", desk.units: 1}, "Enter an amount, or units and shipping, not both."),
        ("amount", {"amount": "ten"}, "Enter a number."),
        ("restock", {"restock": "on", "amount": "1"}, "Enter the units to put back to stock."),
        ("reason", {"amount": "1", "reason": " "}, "This field is required."),
        ("reason", {"amount": "1", "reason": "Chip\u200bped"}, "Control, invisible"),
        ("__all__", {}, "Enter units, shipping or an amount."),
    ]
    for step in ("preview", "refund"):
        for place, fields, why in wrong:
            errors = desk.send(step, **fields).context["form"].errors
            assert list(errors) == [place], (fields, errors)
            assert errors[place][0].startswith(why)
    assert not Credit.objects.exists()


def test_only_who_may_refund_gets_the_page(client, operator, confirmed):
    address = reverse("admin:orders_order_refund", args=[confirmed.pk])
    for codes, status in (
        (["view_order", "complete_order"], 403),
        (["refund_order"], 403),
        (["view_order", "refund_order"], 200),
    ):
        operator.user_permissions.set(Permission.objects.filter(codename__in=codes))
        assert client.get(address).status_code == client.post(address, {}).status_code == status
    assert address in page_of(client, confirmed)
    operator.user_permissions.set(Permission.objects.filter(codename="view_order"))
    assert address not in page_of(client, confirmed)


def test_an_order_that_is_not_paid_is_not_refunded(client, operator, order):
    address = reverse("admin:orders_order_refund", args=[order.pk])
    assert address not in page_of(client, order)
    answer = client.get(address, follow=True)
    assert said(answer) == ["A pending order cannot be refunded in part."]


def of_state(client, refunded: str) -> str:
    return client.get(f"/admin/orders/order/?refunded={refunded}").content.decode()


def test_an_orders_page_lists_its_refunds_also_from_the_archive(client, desk, operator, confirmed):
    desk.refund(amount="10")
    parts.refund_part(order_id=confirmed.pk, wish=Wish(shipping=True, reason="Late"))
    work_off()
    commands.complete_orders(order_ids=[confirmed.pk])
    live = page_of(client, confirmed)
    assert "Completed, partly refunded" in of_state(client, "partly")
    assert confirmed.number not in of_state(client, "refunded")
    assert list(archive.move(before=database_now() + timedelta(seconds=1)))
    archived = page_of(client, confirmed)
    for page in (live, archived):
        listed = page[page.index('id="refunds"') :].split("</table>")[0]
        for shown in ("10.00 USD", "Chipped", "olga", "5.00 USD", "Late", "Refunded", "shipping"):
            assert shown in listed
        assert "Completed, partly refunded" in page
    assert "A refund restores the order." in archived
    assert desk.address in archived
