"""Tax, discounts and fees that the caller gives: in the total, the payment, refunds, and wherever they are shown."""

import csv
import io
import json
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.template.loader import render_to_string

from inventory.models import Product
from notifications import formats, mail, payloads
from notifications.models import Delivery, Subscription
from orders.http import requests
from orders.http.links import track_token
from orders.maintenance import archive, audit
from orders.models import ArchivedOrder, Order, OrderEvent
from payments.models import Transaction
from scheduling.slots import database_now
from tests.factories import make_shipping
from tests.orders.conftest import an_order, client_of
from tests.planted import planted

pytestmark = pytest.mark.django_db(transaction=True)

VAT = {"kind": "tax", "code": "VAT", "amount": 11.40, "rate": 0.19}
COUPON = {"kind": "discount", "code": "WELCOME5", "amount": -5.00}
INCLUDED = {"kind": "tax", "code": "GST", "amount": 9.58, "included": True}
KEY = {"Idempotency-Key": "key-1"}


@pytest.fixture
def pricer(alice: User) -> User:
    """Alice's shop computes its own baskets."""
    alice.user_permissions.add(Permission.objects.get(codename="price_order"))
    make_shipping(country="US", price="4.99")
    return User.objects.get(pk=alice.pk)


@pytest.fixture
def shop_client(pricer, unlimited):
    return client_of(pricer)


@pytest.fixture
def placed(shop_client):
    """Place an order of two T-shirts with adjustments, 59.98 + 11.40 - 5.00."""

    def place(**fields):
        response = shop_client.post("/api/orders", an_order(adjustments=[VAT, COUPON, INCLUDED], **fields))
        assert response.status_code == 201, response.content
        return response.json()

    return place


def error_of(response):
    error = response.json()["error"]
    return response.status_code, error["code"], error.get("field")


# --- The total --------------------------------------------------------------------------------------------


def test_the_total_is_lines_adjustments_that_are_not_included_and_shipping(
    shop_client, placed, providers, drain
):
    order = placed(expectedTotal=71.37)
    assert (order["goodsAmount"], order["adjustmentAmount"], order["totalAmount"]) == (59.98, 6.40, 66.38)
    assert order["estimatedTotalAmount"] == 71.37
    drain()
    final = shop_client.get(order["links"]["self"]).json()
    assert (final["status"], final["totalAmount"], final["shippingAmount"]) == ("Confirmed", 71.37, 4.99)
    assert {payment["amount"] for payment in final["payments"]} == {71.37}
    assert final["adjustments"] == [
        VAT | {"included": False},
        COUPON | {"included": False, "rate": None},
        INCLUDED | {"rate": None},
    ]
    assert audit.run().violations == []


def test_a_quote_has_them_and_its_total_is_accepted(shop_client):
    quote = shop_client.post("/api/orders/quote", an_order(adjustments=[VAT, INCLUDED])).json()
    assert (quote["adjustmentAmount"], quote["totalAmount"]) == (11.40, 76.37)
    assert [each["code"] for each in quote["adjustments"]] == ["VAT", "GST"]
    order = an_order(adjustments=[VAT, INCLUDED], expectedTotal=76.37)
    assert shop_client.post("/api/orders", order).status_code == 201


def test_another_expected_total_is_refused_with_what_adjustments_make_of_it(shop_client):
    response = shop_client.post("/api/orders", an_order(adjustments=[COUPON], expectedTotal=64.97))
    assert error_of(response) == (409, "total_changed", "expectedTotal")
    assert response.json()["error"]["details"][0]["current"] == 59.97
    assert not Order.objects.exists()


def test_a_discount_of_everything_leaves_nothing_to_pay(shop_client, pricer, providers, drain):
    make_shipping(country="DE", price="0.00")
    all_of_it = COUPON | {"amount": -59.98}
    order = an_order(adjustments=[all_of_it], shippingAddress={"country": "DE"})
    placed = shop_client.post("/api/orders", order).json()
    drain()
    journey = Order.objects.get(pk=placed["id"]).journey
    assert (journey.status, journey.payment) == ("confirmed", "free")
    assert not Transaction.objects.exists()
    assert audit.run().violations == []


@pytest.mark.parametrize(
    ("adjustment", "code", "field"),
    [
        (COUPON | {"amount": 5}, "too_large", "adjustments[0].amount"),
        (VAT | {"amount": -5}, "too_small", "adjustments[0].amount"),
        (VAT | {"amount": 1.005}, "too_many_decimals", "adjustments[0].amount"),
        (VAT | {"rate": 19}, "too_large", "adjustments[0].rate"),
        (VAT | {"kind": "toll"}, "invalid", "adjustments[0].kind"),
        (COUPON | {"amount": -59.99}, "discount_too_large", "adjustments"),
    ],
)
def test_an_impossible_adjustment_is_refused_with_its_field(shop_client, adjustment, code, field):
    response = shop_client.post("/api/orders", an_order(adjustments=[adjustment]))
    assert error_of(response) == (400, code, field)


def test_amounts_have_the_decimals_of_the_currency(pricer, unlimited):
    Product.objects.filter(pk=1).update(currency="JPY", price=3000)
    order = {"customerName": "A", "items": [{"productId": 1, "quantity": 1}], "currency": "JPY"}
    client = client_of(pricer)
    placed = client.post("/api/orders", order | {"adjustments": [VAT | {"amount": 300.0}]})
    assert '"adjustmentAmount":300,' in placed.content.decode()
    refused = client.post("/api/orders", order | {"adjustments": [VAT | {"amount": 300.5}]})
    assert error_of(refused) == (400, "too_many_decimals", "adjustments[0].amount")


# --- Of single lines --------------------------------------------------------------------------------------

ENGRAVED = {"productId": 1, "quantity": 3, "unitPrice": 10}
OF_LINE = [
    {"kind": "tax", "code": "VAT", "amount": 5.70, "rate": 0.19},
    {"kind": "discount", "code": "B-WARE", "amount": -3.50},
    {"kind": "fee", "code": "engraving", "amount": 1},
    {"kind": "tax", "code": "GST", "amount": 2, "included": True},
]


@pytest.fixture
def line_adjusted(shop_client):
    """Place an order of two lines of one product: 10.00, 30.00 + 3.20 by adjustments; and VAT of 11.40."""

    def place(**fields):
        items = [ENGRAVED | {"quantity": 1}, ENGRAVED | {"adjustments": OF_LINE}]
        response = shop_client.post("/api/orders", an_order(items=items, adjustments=[VAT], **fields))
        assert response.status_code == 201, response.content
        return response.json()

    return place


def test_a_lines_adjustments_are_its_own_and_in_the_total(shop_client, line_adjusted, providers, drain):
    order = line_adjusted(expectedTotal=59.59)
    assert (order["goodsAmount"], order["adjustmentAmount"], order["totalAmount"]) == (40, 14.60, 54.60)
    drain()
    final = shop_client.get(order["links"]["self"]).json()
    for answer in (order, final):
        plain, adjusted = answer["items"]
        assert (plain["quantity"], plain["adjustments"], adjusted["amount"]) == (1, [], 30)
        assert [(each["code"], each["amount"]) for each in adjusted["adjustments"]] == [
            ("VAT", 5.70),
            ("B-WARE", -3.50),
            ("engraving", 1),
            ("GST", 2),
        ]
        assert [each["amount"] for each in answer["adjustments"]] == [11.40]
    assert {payment["amount"] for payment in final["payments"]} == {59.59}
    assert audit.run().violations == []


def test_a_quote_has_a_lines_adjustments(shop_client):
    items = [ENGRAVED | {"adjustments": OF_LINE}]
    quote = shop_client.post("/api/orders/quote", an_order(items=items)).json()
    assert (quote["adjustmentAmount"], quote["totalAmount"], quote["adjustments"]) == (3.20, 38.19, [])
    assert len(quote["items"][0]["adjustments"]) == 4


@pytest.mark.parametrize(
    ("adjustment", "code", "field"),
    [
        (COUPON | {"amount": -30.01}, "discount_too_large", "items[0].adjustments"),
        (COUPON | {"amount": 5}, "too_large", "items[0].adjustments[0].amount"),
        (VAT | {"amount": 1.005}, "too_many_decimals", "items[0].adjustments[0].amount"),
    ],
)
def test_an_impossible_adjustment_of_a_line_is_refused_with_its_field(shop_client, adjustment, code, field):
    fee = {"kind": "fee", "code": "wrap", "amount": 50}
    order = an_order(items=[ENGRAVED | {"adjustments": [adjustment]}], adjustments=[fee])
    assert error_of(shop_client.post("/api/orders", order)) == (400, code, field)


def test_lines_with_adjustments_stay_apart(shop_client):
    of_one = {"productId": 1, "quantity": 1, "adjustments": [VAT | {"amount": 1}]}
    order = shop_client.post("/api/orders", an_order(items=[of_one, of_one])).json()
    assert [len(item["adjustments"]) for item in order["items"]] == [1, 1]
    assert order["adjustmentAmount"] == 2


def test_units_of_a_line_carry_its_adjustments_in_any_sequence(operator, line_adjusted, providers, drain):
    order = line_adjusted()
    drain()
    # 33.20 of 43.20, and as much of the VAT of 11.40: 8.76.
    parts = [refund(operator, order, items=[{"line": 2, "quantity": 1}])["amount"] for _ in range(3)]
    assert parts == [13.99, 13.98, 13.99]
    other = refund(operator, order, items=[{"line": 1, "quantity": 1}], shipping=True)
    assert (other["amount"], other["left"]) == (17.63, 0)
    drain()
    assert audit.run().violations == []


def test_a_lines_adjustments_show_with_it(operator, line_adjusted, client, settings, shop_client):
    settings.SHOP_LANGUAGE = "en-us"
    placed = line_adjusted()
    order = Order.objects.select_related("journey").get(pk=placed["id"])
    context = mail._context(order, list(order.lines.all()), list(order.events.all()))
    texts = [render_to_string(f"notifications/received.{kind}", context) for kind in ("txt", "html")]
    texts.append(client.get(f"/track/{track_token(order.pk, order.placed_at)}").content.decode())
    for text in texts:
        assert text.index("Discount (B-WARE)") < text.index("$11.40")
        assert text.count("Included: Tax (GST)") == 1
        assert "-$3.50" in text
    client.force_login(operator)
    desk = client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    assert desk.count("Discount B-WARE") == desk.count("Included: Tax GST") == 1
    assert desk.count("Tax VAT (19 %)") == 2
    csv_text = shop_client.get("/api/orders/export?format=csv").getvalue().decode()
    (cells,) = csv.DictReader(io.StringIO(csv_text))
    assert [each["line"] for each in json.loads(cells["adjustments"])] == [None, 2, 2, 2, 2]


def test_the_audit_finds_adjustments_of_no_line_and_discounts_beyond_one(line_adjusted):
    order = Order.objects.get(pk=line_adjusted(hold=True)["id"])
    check = "Totals: adjustments of a line have one, and leave it at 0 or more"
    for line, amount in ((3, 0), (1, -10.01)):
        rows = [{"kind": "discount", "code": "x", "amount": amount, "included": False, "line": line}]
        Order.objects.filter(pk=order.pk).update(adjustments=rows, adjustment_amount=amount)
        found = {
            (violation.check, violation.subject) for violation in audit.run(with_ledger=False).violations
        }
        assert found == {(check, str(order.pk))}


# --- Who may --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/orders", "/api/orders/quote"])
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"adjustments": [COUPON]}, "adjustments"),
        ({"items": [{"productId": 1, "quantity": 1, "unitPrice": 0.01}]}, "items[0].unitPrice"),
        ({"items": [{"productId": 1, "quantity": 1, "adjustments": [COUPON]}]}, "items[0].adjustments"),
    ],
)
def test_without_the_permission_prices_are_refused(as_alice, path, fields, field):
    response = as_alice.post(path, an_order(**fields))
    assert error_of(response) == (403, "permission_denied", field)
    assert not Order.objects.exists()


def test_properties_need_no_permission(as_alice):
    items = [{"productId": 1, "quantity": 1, "properties": {"print": "Jane"}}]
    response = as_alice.post("/api/orders", an_order(items=items))
    assert response.status_code == 201
    assert response.json()["items"][0]["properties"] == {"print": "Jane"}


def test_a_line_has_one_price(shop_client):
    items = [{"productId": 1, "quantity": 1, "price": 29.99, "unitPrice": 20}]
    response = shop_client.post("/api/orders", an_order(items=items))
    assert error_of(response) == (400, "conflicting_fields", "items[0].unitPrice")


# --- Bulk, repeats, cost ----------------------------------------------------------------------------------


def send_bulk(client, *orders):
    body = "\n".join(map(json.dumps, orders))
    response = client.post("/api/orders/bulk", body, content_type="application/x-ndjson")
    return [json.loads(line) for line in response.getvalue().splitlines()]


def test_a_bulk_mixes_orders_with_and_without(shop_client, providers, drain):
    items = [{"productId": 1, "quantity": 1, "unitPrice": 20, "properties": {"print": "Jane"}}] * 2
    answers = send_bulk(
        shop_client, an_order(), an_order(adjustments=[VAT, INCLUDED]), an_order(items=items, hold=True)
    )
    plain, adjusted, priced = (Order.objects.get(pk=answer["orderId"]) for answer in answers)
    assert plain.adjustments is None
    assert plain.adjustment_amount == 0
    assert (len(adjusted.adjustment_list), adjusted.adjustment_amount) == (2, Decimal("11.40"))
    line = priced.lines.get()
    assert (line.amount, line.quantity, line.properties) == (Decimal(40), 2, {"print": "Jane"})
    drain()
    assert audit.run().violations == []


def test_a_bulk_line_with_everything_is_read_the_fast_way(monkeypatch):
    monkeypatch.setattr(requests, "read", lambda *_: pytest.fail("the slow way"))
    items = [
        {
            "productId": 1,
            "quantity": 1,
            "unitPrice": 20,
            "properties": {"print": "Jane"},
            "adjustments": [VAT],
        }
    ]
    line = json.dumps(an_order(items=items, adjustments=[VAT, COUPON, INCLUDED])).encode()
    assert len(requests.read_bulk_order(line).adjustments or ()) == 3


def test_a_bulk_line_without_the_permission_is_refused_alone(as_alice):
    placed, refused = send_bulk(as_alice, an_order(), an_order(adjustments=[VAT]))
    assert "orderId" in placed
    assert (refused["error"]["code"], refused["error"]["field"]) == ("permission_denied", "adjustments")


def test_a_repeat_has_the_same_adjustments(shop_client):
    order = an_order(adjustments=[VAT])
    first = shop_client.post("/api/orders", order, headers=KEY)
    again = shop_client.post("/api/orders", order, headers=KEY)
    other = shop_client.post("/api/orders", an_order(adjustments=[VAT | {"amount": 11.41}]), headers=KEY)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["adjustments"] == first.json()["adjustments"]
    assert error_of(other) == (422, "idempotency_key_reused", "Idempotency-Key")


def test_an_order_without_extras_names_none_of_their_columns(shop_client):
    statement = Order.objects._one[False, False]
    assert not any(name in statement for name in ("adjust", "properties", "number"))


# --- Refunds ----------------------------------------------------------------------------------------------


def refund(operator, order, **fields):
    response = client_of(operator).post(f"/api/orders/{order['id']}/refunds", fields)
    return response.json()


def test_units_come_to_their_share_of_tax_and_discounts(operator, placed, providers, drain):
    order = placed()
    drain()
    preview = refund(operator, order, items=[{"line": 1, "quantity": 1}], dryRun=True)
    assert (preview["amount"], preview["left"], preview["items"][0]["line"]) == (33.19, 38.18, 1)
    first = refund(operator, order, items=[{"sku": "TEE-1", "quantity": 1}])
    second = refund(operator, order, items=[{"sku": "TEE-1", "quantity": 1}], shipping=True)
    assert first["amount"] + second["amount"] == pytest.approx(71.37)
    drain()
    assert refund(operator, order, amount=0.01)["error"]["code"] == "more_than_left"
    assert audit.run().violations == []


def test_fees_are_refunded_by_amount_and_shipping_has_its_adjustments(
    operator, shop_client, providers, drain
):
    fee = {"kind": "fee", "code": "wrap", "amount": 2}
    express = {"kind": "shipping", "code": "express", "amount": 3}
    order = shop_client.post("/api/orders", an_order(adjustments=[fee, express])).json()
    drain()
    goods = refund(operator, order, items=[{"sku": "TEE-1", "quantity": 2}], shipping=True)
    assert (goods["amount"], goods["shippingAmount"], goods["left"]) == (67.97, 7.99, 2.00)
    assert refund(operator, order, amount=2)["left"] == 0
    drain()
    assert audit.run().violations == []


def test_a_cancellation_refunds_the_adjustments_too(operator, placed, providers, drain):
    order = placed()
    drain()
    client_of(operator).post(f"/api/orders/{order['id']}/cancel")
    drain()
    assert {str(t.amount) for t in Transaction.objects.filter(kind="refund")} == {"71.37"}
    assert audit.run().violations == []


# --- Where it shows ---------------------------------------------------------------------------------------


def test_the_first_event_has_the_amount_with_adjustments(placed):
    order = placed()
    assert OrderEvent.objects.get(order_id=order["id"]).data["amount"] == "66.38"


def test_an_archived_order_keeps_them(operator, placed, providers, drain):
    order = placed(payment={"token": "tok_declined"})
    drain()
    assert list(archive.move(before=database_now()))
    archived = ArchivedOrder.objects.get(pk=order["id"])
    kept = archive.order_of(archived)
    assert (kept.adjustment_amount, [each.code for each in kept.adjustment_list]) == (
        Decimal("6.40"),
        ["VAT", "WELCOME5", "GST"],
    )


def test_mails_name_each_with_its_amount(placed, settings):
    settings.SHOP_LANGUAGE = "en-us"
    order = Order.objects.select_related("journey").get(pk=placed()["id"])
    events = list(OrderEvent.objects.filter(order_id=order.pk))
    context = mail._context(order, list(order.lines.all()), events)
    text = mail._without_gaps(render_to_string("notifications/received.txt", context))
    html = render_to_string("notifications/received.html", context)
    for shown in ("Tax (VAT, 19%)", "Discount (WELCOME5)", "Total without shipping", "Included: Tax (GST)"):
        assert shown in text
        assert shown in html
    for amount in ("$11.40", "-$5.00", "$66.38", "$9.58"):
        assert amount in text
        assert amount in html
    assert text.index("Total without shipping") < text.index("Included")


def test_a_code_that_mail_programs_would_link_is_left_out(shop_client):
    order = an_order(adjustments=[COUPON | {"code": "www.evil.example"}])
    placed = Order.objects.get(pk=shop_client.post("/api/orders", order).json()["id"])
    assert [each.name for each in formats.adjustments(placed)] == ["Discount"]


def test_the_customers_page_and_the_desk_show_them(operator, placed, client, settings):
    order = placed(items=[{"productId": 1, "quantity": 2, "properties": {"print": "Jane"}}])
    page = client.get(f"/track/{track_token(order['id'], Order.objects.get().placed_at)}").content.decode()
    client.force_login(operator)
    desk = client.get(f"/admin/orders/order/{order['id']}/change/").content.decode()
    for shown in ("Tax (VAT, 19%)", "$11.40", "Included: Tax (GST)"):
        assert shown in page
    for shown in ("Tax VAT (19 %)", "Discount WELCOME5", "-5.00 USD", "Included: Tax GST", "print: Jane"):
        assert shown in desk


def test_webhooks_and_exports_have_them(shop_client, placed):
    placed()
    subscription = Subscription.objects.create(url="https://shop.example/hook")
    order_id = Order.objects.get().pk
    delivery = Delivery.objects.create(
        subscription=subscription, order_id=order_id, sequence=1, event="order_placed"
    )
    body = json.loads(payloads.compose([delivery])[delivery.pk])
    assert body["order"]["adjustments"][0] == VAT | {"included": False}
    (row,) = map(json.loads, shop_client.get("/api/orders/export").getvalue().splitlines())
    assert (row["adjustmentAmount"], row["totalAmount"], len(row["adjustments"])) == (6.40, 66.38, 3)
    csv_text = shop_client.get("/api/orders/export?format=csv").getvalue().decode()
    (cells,) = csv.DictReader(io.StringIO(csv_text))
    assert (cells["adjustmentAmount"], json.loads(cells["adjustments"])[1]["amount"]) == ("6.40", -5.00)


# --- The audit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("defect", "broken"),
    [
        ("adjustment_left_out", "Totals: each adjustment that is not included is in the total"),
        ("included_added_again", "Totals: what is included is not added again"),
    ],
)
def test_the_audit_catches_each_defect_of_totals_as_its_own(placed, defect, broken):
    with planted(defect):
        order = placed(hold=True)
    found = {(violation.check, violation.subject) for violation in audit.run(with_ledger=False).violations}
    assert found == {(broken, str(order["id"]))}
