"""A refused body names all of its faults at once, in sentences that a person can use."""

import json
import re

import pytest
from django.contrib.auth.models import Permission

from tests.factories import make_user
from tests.orders.conftest import an_order, client_of

# What shows that a regular expression or a type of Python has reached a person.
NOT_FOR_PEOPLE = re.compile(r"[\^\\\[`]|\b(str|int|dict|regex)\b")
MANY_FAULTS = {
    "customerName": "",
    "items": [{"productId": 1, "quantity": -1, "colour": "red"}, {"sku": "x" * 41, "quantity": "2"}],
    "email": "nobody",
    "currency": "dollars",
    "shippingAddress": {"country": "Mars", "planet": "Mars"},
    "payment": {"token": "a b"},
    "status": "Completed",
}
THEIR_CODES = {
    "customerName": "too_short",
    "items[0].quantity": "too_small",
    "items[0].colour": "unknown_field",
    "items[1].sku": "too_long",
    "items[1].quantity": "wrong_type",
    "email": "wrong_format",
    "currency": "unknown_currency",
    "shippingAddress.country": "unknown_country",
    "shippingAddress.planet": "unknown_field",
    "payment.token": "wrong_format",
    "status": "unknown_field",
}


def codes_of(error):
    return {detail["field"]: detail["code"] for detail in error["details"]}


def are_for_people(error):
    sentences = [detail["message"] for detail in error["details"]]
    return all(sentence.endswith(".") and not NOT_FOR_PEOPLE.search(sentence) for sentence in sentences)


@pytest.mark.parametrize("address", ["/api/orders", "/api/orders/quote"])
def test_all_faults_of_an_order_are_told(as_alice, address):
    error = as_alice.post(address, MANY_FAULTS).json()["error"]

    assert codes_of(error) == THEIR_CODES
    assert are_for_people(error)
    first = error["details"][0]
    assert (error["code"], error["message"], error["field"]) == (
        first["code"],
        first["message"],
        first["field"],
    )


def test_all_faults_of_a_bulk_line_are_told(as_alice):
    body = json.dumps(MANY_FAULTS | {"key": ""})

    response = as_alice.post("/api/orders/bulk", body, content_type="application/x-ndjson")
    error = json.loads(response.getvalue())["error"]
    assert codes_of(error) == THEIR_CODES | {"key": "wrong_format"}
    assert are_for_people(error)


def test_all_products_that_cannot_be_ordered_are_told(as_alice):
    lines = [
        {"productId": 999, "quantity": 1},
        {"productId": 1, "quantity": 1, "price": 1.00},
        {"productId": 2, "quantity": 1},
        {"sku": "NONE", "quantity": 1},
    ]

    response = as_alice.post("/api/orders", an_order(items=lines))
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "unknown_product")
    assert codes_of(error) == {
        "items[0].productId": "unknown_product",
        "items[1].price": "price_changed",
        "items[3].sku": "unknown_product",
    }
    assert error["details"][1]["current"] == 29.99


def test_all_forbidden_texts_are_told(as_alice):
    error = as_alice.post("/api/orders", an_order(customerName="a\x07", customerId="4111111111111111"))

    assert codes_of(error.json()["error"]) == {
        "customerName": "control_characters",
        "customerId": "card_number_refused",
    }


@pytest.fixture
def as_admin(shop, unlimited):
    admin = make_user("admin", is_staff=True)
    codes = ["add_product", "change_product", "change_stockitem", "change_subscription"]
    admin.user_permissions.add(*Permission.objects.filter(codename__in=codes))
    return client_of(admin)


def test_all_faults_of_a_product_are_told(as_admin):
    error = as_admin.post("/api/inventory", {"sku": "", "price": -1, "colour": "red"}).json()["error"]

    assert codes_of(error) == {
        "sku": "too_short",
        "name": "required",
        "price": "too_small",
        "colour": "unknown_field",
    }


def test_all_faults_of_an_adjustment_are_told(as_admin):
    error = as_admin.post("/api/inventory/1/adjust", {"by": 0, "reason": "", "why": ""}).json()["error"]

    assert codes_of(error) == {"by": "zero", "reason": "too_short", "why": "unknown_field"}


def test_all_faults_of_a_subscription_are_told_with_the_events_there_are(as_admin):
    body = {"url": "", "events": ["order.confirmed", "order_confirmed", "sold"], "secret": "x"}

    error = as_admin.post("/api/webhooks", body).json()["error"]
    assert codes_of(error) == {
        "url": "too_short",
        "events[0]": "invalid",
        "events[2]": "invalid",
        "secret": "unknown_field",
    }
    told = next(detail["message"] for detail in error["details"] if detail["field"] == "events[0]")
    assert "order_confirmed" in told
    assert "order_cancelled" in told


def test_all_faults_of_a_query_are_told(as_admin):
    error = as_admin.get("/api/inventory?pageSize=0&cursor=-1").json()["error"]

    assert codes_of(error) == {"pageSize": "invalid_parameter", "cursor": "invalid_parameter"}
