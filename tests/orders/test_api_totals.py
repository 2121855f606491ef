"""What an order will cost: quotes, expected totals, and answers that tell whether a total is final."""

import json

import pytest

from orders.models import Order
from shipping.models import Rate
from shipping.quotes import forget_price_lists
from tests.factories import make_shipping
from tests.orders.conftest import an_order, client_of

KEY = {"Idempotency-Key": "key-1"}


@pytest.fixture
def rates(shop: None) -> None:
    make_shipping(country="US", price="4.99")


def change_rates() -> None:
    Rate.objects.update(price="6.00")
    forget_price_lists()


def test_a_quote_has_lines_stock_shipping_and_total_and_stores_nothing(as_alice, rates):
    response = as_alice.post("/api/orders/quote", {"items": [{"sku": "TEE-1", "quantity": 101}]})

    body = response.json()
    assert response.status_code == 200
    assert [(line["sku"], line["price"], line["amount"]) for line in body["items"]] == [
        ("TEE-1", 29.99, 3028.99)
    ]
    assert (body["items"][0]["available"], body["items"][0]["inStock"]) == (100, False)
    assert (body["goodsAmount"], body["shippingAmount"], body["totalAmount"]) == (3028.99, 4.99, 3033.98)
    assert (body["currency"], body["country"], body["shippingRefusal"]) == ("USD", "US", None)
    assert not Order.objects.exists()


def test_a_quote_tells_why_there_is_no_shipping(as_alice, rates):
    body = as_alice.post("/api/orders/quote", an_order(shippingAddress={"country": "AQ"})).json()

    assert (body["goodsAmount"], body["shippingAmount"], body["totalAmount"]) == (59.98, None, None)
    assert body["shippingRefusal"]["code"] == "not_shippable"


def test_a_quote_is_refused_like_an_order(as_alice, rates):
    unknown = as_alice.post("/api/orders/quote", an_order(items=[{"productId": 999, "quantity": 1}]))

    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "unknown_product")


def test_what_was_quoted_is_charged(as_alice, rates, providers, drain):
    quoted = as_alice.post("/api/orders/quote", an_order()).json()["totalAmount"]

    placed = as_alice.post("/api/orders", an_order(expectedTotal=quoted)).json()
    assert (placed["totalIsFinal"], placed["totalAmount"]) == (False, 59.98)
    assert (placed["estimatedShippingAmount"], placed["estimatedTotalAmount"]) == (4.99, quoted)

    drain()
    charged = as_alice.get(placed["links"]["self"]).json()
    assert (charged["totalIsFinal"], charged["totalAmount"]) == (True, quoted)
    assert (charged["estimatedShippingAmount"], charged["estimatedTotalAmount"]) == (None, None)
    assert {payment["amount"] for payment in charged["payments"]} == {quoted}


def test_another_total_is_refused_with_the_current_one(as_alice, rates):
    response = as_alice.post("/api/orders", an_order(expectedTotal=59.98))

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (409, "total_changed", "expectedTotal")
    assert (error["details"][0]["current"], error["details"][0]["currency"]) == (64.97, "USD")
    assert "59.98 for the goods and 4.99 for shipping" in error["message"]
    assert not Order.objects.exists()


def test_a_total_is_refused_where_nothing_is_shipped(as_alice, rates):
    order = an_order(expectedTotal=64.97, shippingAddress={"country": "AQ"})

    error = as_alice.post("/api/orders", order).json()["error"]
    assert (error["code"], error["details"][0]["code"]) == ("total_changed", "not_shippable")


def test_a_repeat_is_answered_although_the_total_has_changed(as_alice, rates):
    first = as_alice.post("/api/orders", an_order(expectedTotal=64.97), headers=KEY)
    change_rates()

    again = as_alice.post("/api/orders", an_order(expectedTotal=64.97), headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"]
    assert as_alice.post("/api/orders", an_order(expectedTotal=64.97)).status_code == 409


@pytest.mark.django_db(transaction=True)
def test_bulk_lines_have_expected_totals_too(as_alice, rates):
    lines = [json.dumps(an_order(expectedTotal=total)) for total in (64.97, 60)]

    response = as_alice.post("/api/orders/bulk", "\n".join(lines), content_type="application/x-ndjson")
    accepted, refused = map(json.loads, response.getvalue().splitlines())
    assert accepted["orderId"] == Order.objects.get().pk
    assert (refused["error"]["code"], refused["error"]["details"][0]["current"]) == ("total_changed", 64.97)


# --- Conditions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["process", "cancel", "complete", "refund", "retry"])
def test_a_command_on_another_version_is_refused_with_the_current_etag(as_alice, operator, place, command):
    where, client = f"/api/orders/{place(hold=True)['id']}", client_of(operator)

    response = client.post(f"{where}/{command}", headers={"If-Match": '"1-0000000000000000"'})

    assert (response.status_code, response.json()["error"]["code"]) == (412, "precondition_failed")
    assert response["ETag"] == client.get(where)["ETag"]
    assert Order.objects.get().journey.sequence == 1


@pytest.mark.parametrize("tags", ["{etag}", '"other", {etag}', "*"])
def test_a_command_on_this_version_runs(as_alice, place, tags):
    where = f"/api/orders/{place(hold=True)['id']}"
    etag = as_alice.get(where)["ETag"]

    response = as_alice.post(f"{where}/cancel", headers={"If-Match": tags.format(etag=etag)})

    assert (response.status_code, response.json()["status"]) == (200, "Cancelled")
    weak = as_alice.post(f"{where}/cancel", headers={"If-Match": f"W/{response['ETag']}"})
    assert weak.status_code == 412
