"""Every outlet writes an amount with the decimals of its currency: 4498 JPY, 4.000 KWD, never 4498.000 or 4.0."""

import csv
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

from inventory.models import StockItem
from live.messages import Message
from notifications.mail import compose
from notifications.models import Delivery, Kind, Notification
from notifications.payloads import compose as webhook_bodies
from orders.http.links import track_token
from orders.maintenance import audit
from orders.models import Order, OrderEvent
from shipping.models import Rate
from shipping.quotes import forget_price_lists
from tests.fixtures.pipeline import work_off
from tests.orders.conftest import client_of
from tests.orders.test_export import exported

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers", "unlimited")]

# Of each currency: the price of a unit, shipping, two units with shipping; a text of an amount.
AMOUNTS = {
    "JPY": ("1999", "500", "4498", r"-?\d+"),
    "KWD": ("11.25", "13.5", "36.000", r"-?\d+\.\d{3}"),
    "USD": ("7.5", "13.5", "28.50", r"-?\d+\.\d{2}"),
}
KEYS = re.compile(
    r"price|left|captured|refunded|pending|owed|authorized|freeFrom|revenue|missing|surplus|received|paidBack"
    r"|expectedTotal|.*[aA]mounts?"
)


@pytest.fixture
def admin(unlimited: None, db: None) -> User:
    return User.objects.create_superuser("root", password="a long password")


def set_rate(via: str, admin: User, client: Any, currency: str, price: str) -> None:
    if via != "admin":
        rate = {"maxWeightGrams": 9000, "price": float(price), "currency": currency, "freeFrom": 90000}
        body = {"name": "Alps", "countries": ["US"], "rates": [rate]}
        answer = client_of(admin).post("/api/shipping/zones", body, format="json")
        assert answer.status_code == 201, answer.content
        check_json(answer.content, currency)
        zones = client_of(admin).get("/api/shipping/zones").content
        check_json(zones, currency)
        return
    form = {
        "name": "Alps",
        "rates-TOTAL_FORMS": 1,
        "rates-INITIAL_FORMS": 0,
        "rates-0-max_weight_grams": 9000,
        "rates-0-price": f"{Decimal(price):.3f}",
        "rates-0-currency": currency,
        "countries-TOTAL_FORMS": 1,
        "countries-INITIAL_FORMS": 0,
        "countries-0-country": "US",
    }
    client.force_login(admin)
    assert client.post("/admin/shipping/zone/add/", form).status_code == 302


def amounts_in(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what stands under the names of amounts, as text."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from amounts_in(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from amounts_in(each, key)
    elif KEYS.fullmatch(key) and value is not None:
        yield key, value


def check_json(body: bytes | str, currency: str) -> None:
    pattern = AMOUNTS[currency][3]
    found = list(amounts_in(json.loads(body, parse_float=str, parse_int=str)))
    assert found
    assert [pair for pair in found if not re.fullmatch(pattern, pair[1])] == []


def check_text(text: str, currency: str) -> None:
    """Check each number beside the currency, and that no other number is an amount with other decimals."""
    price, shipping, _, _ = AMOUNTS[currency]
    decimals = {"JPY": 0, "KWD": 3, "USD": 2}[currency]
    plain = unescape(re.sub(r"<[^>]+>", " ", text)).replace(",", "").replace("\xa0", " ")
    beside = rf"(?:{currency}|¥|\$) ?(\d[\d.]*)|(\d[\d.]*) {currency}"
    for before, after in re.findall(beside, plain):
        number = (before or after).rstrip(".")
        assert len(number.partition(".")[2]) == decimals, (number, plain)
    for amount in (price, shipping):
        whole = f"{Decimal(amount):.{decimals}f}"
        for number in re.findall(rf"(?<![\d.]){re.escape(amount)}(?:\.?\d*)", plain):
            assert number.rstrip(".") == whole or Decimal(number.rstrip(".")) != Decimal(amount), (
                number,
                plain,
            )


def placed(client: APIClient, admin: User, currency: str, **more: Any) -> Order:
    price = AMOUNTS[currency][0]
    product = {"sku": f"IN-{currency}", "name": f"In {currency}", "price": price, "currency": currency}
    added = client_of(admin).post("/api/inventory", product, format="json")
    assert added.status_code == 201, added.content
    check_json(added.content, currency)
    StockItem.objects.update(on_hand=9)
    body = {
        "customerName": "Alice",
        "currency": currency,
        "items": [{"sku": product["sku"], "quantity": 2, "price": float(price)}],
        "shippingAddress": {"country": "US"},
    }
    quote = client.post("/api/orders/quote", body, format="json")
    assert quote.status_code == 200, quote.content
    check_json(quote.content, currency)
    answer = client.post("/api/orders", body | {"payment": {"token": "tok_visa"}} | more, format="json")
    assert answer.status_code == 201, answer.content
    check_json(answer.content, currency)
    return Order.objects.get(uuid=answer.json()["uuid"])


def check_apis(client: APIClient, admin: User, order: Order) -> None:
    currency, at = order.currency, f"/api/orders/{order.pk}"
    for path in ("", "/events", "/refunds", "/captures"):
        check_json(client.get(f"{at}{path}").content, currency)
    for path in (
        "/api/orders",
        f"/api/orders/customer/{order.customer_name}",
        "/api/board",
        "/api/inventory",
    ):
        check_json(client.get(path).content, currency)
    staff = client_of(admin)
    for path in ("/api/payments/transactions", "/api/analytics"):
        check_json(staff.get(path).content, currency)
    check_json(exported(client), currency)
    row = next(csv.DictReader(StringIO(exported(client, "?format=csv"))))
    check_json(json.dumps({name: value for name, value in row.items() if value}), currency)
    sales = staff.get("/api/analytics.csv").content.decode()
    check_json(json.dumps(next(csv.DictReader(StringIO(sales)))), currency)


def check_pages(client: Any, admin: User, order: Order) -> None:
    client.force_login(admin)
    token = track_token(order.pk, order.placed_at, order.link_version)
    pages = [
        f"/admin/orders/order/{order.pk}/change/",
        f"/admin/orders/order/{order.pk}/refund/",
        "/admin/orders/order/",
        "/admin/payments/transactions/",
        "/admin/inventory/product/",
        "/admin/shipping/zone/",
        f"/admin/shipping/zone/{Rate.objects.get().zone_id}/change/",
        f"/board/orders/{order.pk}",
        "/",
        "/sales",
        f"/track/{token}",
    ]
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, (page, answer.status_code)
        text = re.sub(r'value="([\d.]+)"[^>]*>', r">\1<p>", answer.content.decode())
        check_text(text, order.currency)


def check_messages(order: Order) -> None:
    events = list(OrderEvent.objects.filter(order=order).order_by("sequence"))
    for event in events:
        check_text(Message.of_order_event(event, order).plain, order.currency)
    for kind in Kind.values:
        (mail,) = compose([Notification(order=order, kind=kind, sequence=events[-1].sequence)])
        check_text(mail.subject + mail.text, order.currency)
        check_text(mail.html, order.currency)
    delivery = Delivery(pk=1, order_id=order.pk, sequence=events[-1].sequence)
    check_json(webhook_bodies([delivery])[1], order.currency)


def check_commands(order: Order, capsys: Any) -> None:
    call_command("explain", str(order.pk))
    check_text(capsys.readouterr().out, order.currency)


def store_as_an_older_release_did() -> None:
    """Give all that follows from shipping rates three decimals."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE shipping_rate SET price = price::numeric(12, 3), free_from = free_from::numeric(12, 3)"
        )
        cursor.execute("UPDATE orders_journey SET shipping_amount = shipping_amount::numeric(12, 3)")
        cursor.execute("UPDATE payments_transaction SET amount = amount::numeric(12, 3)")
        cursor.execute("UPDATE orders_credit SET shipping_amount = shipping_amount::numeric(12, 3)")


@pytest.mark.parametrize(
    ("currency", "via"),
    [
        ("JPY", "api"),
        ("JPY", "admin"),
        ("JPY", "older release"),
        ("KWD", "api"),
        ("KWD", "admin"),
        ("USD", "older release"),
    ],
)
def test_every_outlet_writes_an_amount_with_the_decimals_of_its_currency(
    currency: str, via: str, admin: User, client: Any, capsys: Any
) -> None:
    forget_price_lists()
    set_rate(via, admin, client, currency, AMOUNTS[currency][1])
    forget_price_lists()
    order = placed(client_of(admin), admin, currency)
    work_off()
    refund = client_of(admin).post(f"/api/orders/{order.pk}/refunds", {"shipping": 1}, format="json")
    assert refund.status_code == 202, refund.content
    check_json(refund.content, currency)
    work_off()
    if via == "older release":
        store_as_an_older_release_did()
    order = Order.objects.get(pk=order.pk)
    assert str(order.total_amount) == AMOUNTS[currency][2]
    check_apis(client_of(admin), admin, order)
    check_pages(client, admin, order)
    check_messages(order)
    check_commands(order, capsys)
    assert audit.run().violations == []


def test_a_rate_that_is_finer_than_its_currency_makes_no_such_total(admin: User, client: Any) -> None:
    set_rate("api", admin, client, "JPY", "500")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shipping_rate SET price = 500.4")
    forget_price_lists()
    order = placed(client_of(admin), admin, "JPY")
    work_off()
    assert Order.objects.get(pk=order.pk).total_amount == Decimal(4498)
    assert client_of(admin).get("/api/shipping/zones").json()["results"][0]["rates"][0]["price"] == 500
    assert audit.run().violations == []
