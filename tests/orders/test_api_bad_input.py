"""What the API refuses to place, with which code, about which field; and that nothing of it is stored."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.models import IdempotencyKey
from orders.models import Order, OrderEvent, OrderLine
from tests.orders.conftest import an_order

LINE = {"productId": 1, "quantity": 2, "price": 29.99}
CARD = "4111111111111111"


def line(**fields):
    return an_order(
        items=[LINE, {name: value for name, value in (LINE | fields).items() if value is not ...}]
    )


def nothing_is_stored():
    return not any(model.objects.exists() for model in (Order, OrderLine, OrderEvent, IdempotencyKey))


BAD_FIELDS = [
    # Lines
    (an_order(items=[]), "too_short", "items"),
    (an_order(items=[LINE] * 101), "too_long", "items"),
    (an_order(items=None), "wrong_type", "items"),
    (an_order(items={"0": LINE}), "wrong_type", "items"),
    (an_order(items=["LAP-1"]), "wrong_type", "items[0]"),
    ({"customerName": "Alice"}, "required", "items"),
    ({"customerName": "Alice", "lines": [LINE]}, "unknown_field", "lines"),
    # Products
    (line(productId=...), "required", "items[1].productId"),
    (line(productId=999), "unknown_product", "items[1].productId"),
    (line(productId=2**63), "too_large", "items[1].productId"),
    (line(productId=0), "too_small", "items[1].productId"),
    (line(productId="1"), "wrong_type", "items[1].productId"),
    (line(productId=True), "wrong_type", "items[1].productId"),
    (line(productId=..., sku="NONE-1"), "unknown_product", "items[1].sku"),
    (line(productId=..., productName="Nothing"), "unknown_product", "items[1].productName"),
    (line(sku="BAG-1"), "unknown_product", "items[1].sku"),
    (line(productId=..., productName=""), "too_short", "items[1].productName"),
    (line(productId=..., productName="x" * 121), "too_long", "items[1].productName"),
    # Quantities
    (line(quantity=0), "too_small", "items[1].quantity"),
    (line(quantity=-1), "too_small", "items[1].quantity"),
    (line(quantity=1001), "too_large", "items[1].quantity"),
    (line(quantity=999), "too_large", "items[1].quantity"),  # with the two of the first line
    (line(quantity=10**4000), "too_large", "items[1].quantity"),
    (line(quantity=1.5), "wrong_type", "items[1].quantity"),
    (line(quantity=2.0), "wrong_type", "items[1].quantity"),
    (line(quantity=True), "wrong_type", "items[1].quantity"),
    (line(quantity="2"), "wrong_type", "items[1].quantity"),
    (line(quantity=None), "wrong_type", "items[1].quantity"),
    (line(quantity=...), "required", "items[1].quantity"),
    # Prices
    (line(price="29.99"), "wrong_type", "items[1].price"),
    (line(price=True), "wrong_type", "items[1].price"),
    (line(price=-29.99), "too_small", "items[1].price"),
    (line(price=29.999), "too_many_decimals", "items[1].price"),
    (line(price=10**11), "too_large", "items[1].price"),
    # What only we may set
    (an_order(status="Completed"), "unknown_field", "status"),
    (an_order(totalAmount=0.01), "unknown_field", "totalAmount"),
    (an_order(owner=1), "unknown_field", "owner"),
    (line(amount=0.01), "unknown_field", "items[1].amount"),
    # Customers
    ({"items": [LINE]}, "required", "customerName"),
    (an_order(customerName=" "), "required", "customerName"),
    (an_order(customerName="x" * 101), "too_long", "customerName"),
    (an_order(customerName=5), "wrong_type", "customerName"),
    (an_order(customerName="a\x00b"), "control_characters", "customerName"),
    (an_order(customerName="a\r\nb"), "control_characters", "customerName"),
    (an_order(customerName="a\ud800b"), "control_characters", "customerName"),
    (an_order(customerId=1.5), "wrong_type", "customerId"),
    (an_order(customerId=-1), "too_small", "customerId"),
    (an_order(customerId="x" * 65), "too_long", "customerId"),
    (an_order(email="nobody"), "wrong_format", "email"),
    # Where to, and how it is paid
    (an_order(shippingAddress="Main St"), "wrong_type", "shippingAddress"),
    (an_order(shippingAddress={"country": "Canada"}), "unknown_country", "shippingAddress.country"),
    (an_order(shippingAddress={"country": "UK"}), "unknown_country", "shippingAddress.country"),
    (an_order(email="<a@b.c>"), "wrong_format", "email"),
    (an_order(email="a@b.c;x"), "wrong_format", "email"),
    (an_order(email=".a@b.c"), "wrong_format", "email"),
    (an_order(email="a@-x.de"), "wrong_format", "email"),
    (an_order(email="a..b@example.com"), "wrong_format", "email"),
    (an_order(customerName="a\u2028b"), "control_characters", "customerName"),
    (an_order(customerName="a\u202eb"), "control_characters", "customerName"),
    (an_order(customerName="a\u200bb"), "control_characters", "customerName"),
    (an_order(customerName="\u200d"), "control_characters", "customerName"),
    (an_order(shippingAddress={"line1": "a\x1bb"}), "control_characters", "shippingAddress.line1"),
    (an_order(shippingAddress={"planet": "Mars"}), "unknown_field", "shippingAddress.planet"),
    (an_order(currency="dollars"), "unknown_currency", "currency"),
    (an_order(currency="usd"), "unknown_currency", "currency"),
    (an_order(currency="XYZ"), "unknown_currency", "currency"),
    (an_order(currency="EUR"), "wrong_currency", "items[0]"),
    (an_order(payment={"token": "two words"}), "wrong_format", "payment.token"),
    (an_order(payment={"token": "x" * 256}), "wrong_format", "payment.token"),
    (an_order(payment={"cvv": "123"}), "unknown_field", "payment.cvv"),
    (an_order(hold="yes"), "wrong_type", "hold"),
    # Card numbers, wherever they are
    (an_order(payment={"token": CARD}), "card_number_refused", "payment.token"),
    (an_order(payment={"token": f"tok_{CARD}"}), "card_number_refused", "payment.token"),
    (an_order(payment={"number": "4111 1111 1111 1111"}), "card_number_refused", "payment.number"),
    (an_order(customerName="Visa 4111-1111-1111-1111"), "card_number_refused", "customerName"),
    (an_order(customerId=int(CARD)), "card_number_refused", "customerId"),
    (an_order(**{CARD: 1}), "card_number_refused", None),
]


@pytest.mark.parametrize(("body", "code", "field"), BAD_FIELDS)
def test_it_refuses_a_field(as_alice, body, code, field):
    response = as_alice.post("/api/orders", json.dumps(body), content_type="application/json")

    error = response.json()["error"]
    assert (response.status_code, error["code"], error.get("field")) == (400, code, field)
    assert CARD not in response.content.decode()
    assert nothing_is_stored()


PRICED = b'{"customerName": "a", "items": [{"productId": 1, "quantity": 1, "price": %s}]}'
BAD_BODIES = [
    (b"", "required"),
    (b"{", "malformed_json"),
    (b"null", "wrong_type"),
    (b"[]", "wrong_type"),
    (b'"order"', "wrong_type"),
    (b'{"items": [], "items": []}', "malformed_json"),
    (b'{"items": [{"quantity": 1, "quantity": 2}]}', "malformed_json"),
    (b'{"customerName": "a", "items": [{"productId": 1, "quantity": NaN}]}', "malformed_json"),
    (b'{"customerName": "a", "items": [{"productId": 1, "quantity": Infinity}]}', "malformed_json"),
    (b'{"customerName": "a", "items": [{"productId": 1, "quantity": 1e400}]}', "wrong_type"),
    (PRICED % b"1e400", "too_large"),
    (PRICED % b"1e-400", "too_many_decimals"),
    (PRICED % b"1e999999999999999", "too_large"),
    (b'{"items": 1e99999999999999999999999}', "malformed_json"),
    (b'{"items": ' + b"1" * 10_000 + b"}", "malformed_json"),
    (b'{"items": 1.' + b"1" * 10_000 + b"}", "malformed_json"),
    (b"[" * 100_000, "malformed_json"),
    (b"[" * 500 + b"]" * 500, "malformed_json"),
    (b'{"a":' * 100 + b"1" + b"}" * 100, "malformed_json"),
    (b'{"customerName": "\xff\xfe"}', "malformed_json"),
    (b'\xef\xbb\xbf{"customerName": "a"}', "malformed_json"),
    ('{"customerName": "a"}'.encode("utf-16"), "malformed_json"),
    (b'{"customerName": "\\ud800", "items": []}', "control_characters"),
    (b'{"\\udfff": 1}', "control_characters"),
    (b'{"customerName": "a\nb"}', "malformed_json"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "code"), BAD_BODIES)
def test_it_refuses_a_body(as_alice, body, code):
    response = as_alice.post("/api/orders", body, content_type="application/json")

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert nothing_is_stored()


def test_it_refuses_a_body_that_is_too_large(as_alice, settings):
    body = b'{"customerName": "' + b"a" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}'

    response = as_alice.post("/api/orders", body, content_type="application/json")

    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")
    assert nothing_is_stored()


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded"])
def test_it_refuses_another_media_type(as_alice, media_type):
    response = as_alice.post("/api/orders", json.dumps(an_order()), content_type=media_type)

    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert nothing_is_stored()


def test_it_tells_the_current_price_instead_of_using_the_clients(as_alice):
    response = as_alice.post("/api/orders", an_order(items=[{"productId": 1, "quantity": 1, "price": 0.01}]))

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (409, "price_changed", "items[0].price")
    assert (error["details"][0]["current"], error["details"][0]["currency"]) == (29.99, "USD")
    assert nothing_is_stored()


@pytest.mark.parametrize(
    "harmless",
    [
        "4111111111111112",  # the check digit is wrong
        "79927398713",  # too short
        "5e0d1fe2-4111-1111-1111-111111111111",  # the digits of an id mean nothing
        "+1 555 0100",
        "ORD-20261121225415-0077",  # by chance, its date and time have the check digit of a card
    ],
)
def test_it_takes_digits_that_are_no_card_number(place, harmless):
    assert place(customerId=harmless)["customerId"] == harmless


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
A_LINE = st.fixed_dictionaries(
    {},
    optional={
        "productId": st.integers(min_value=-1, max_value=4) | JSON,
        "sku": st.sampled_from(["TEE-1", "BAG-1"]) | JSON,
        "productName": st.sampled_from(["Laptop", "Bag"]) | JSON,
        "quantity": st.integers(min_value=-1, max_value=1001) | JSON,
        "price": st.sampled_from([29.99, 149.99]) | JSON,
    },
)
A_BODY = st.fixed_dictionaries(
    {},
    optional={
        "customerId": st.text() | JSON,
        "customerName": st.text() | JSON,
        "items": st.lists(A_LINE, max_size=3) | JSON,
        "email": st.emails() | JSON,
        "currency": st.just("USD") | JSON,
        "shippingAddress": st.fixed_dictionaries({}, optional={"line1": JSON, "country": JSON}) | JSON,
        "payment": st.fixed_dictionaries({}, optional={"token": st.just("tok_demo") | JSON}) | JSON,
        "hold": st.booleans() | JSON,
    },
)
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(body=A_BODY | JSON)
def test_whatever_json_comes_it_is_stored_or_refused_with_a_reason(as_alice, body):
    before = Order.objects.count()

    response = as_alice.post("/api/orders", json.dumps(body), content_type="application/json")

    stored = Order.objects.count() - before
    assert (response.status_code, stored) in {(201, 1), (400, 0), (409, 0)}
    assert stored or response.json()["error"]["code"]


@FUZZ
@given(
    body=st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | JSON.map(lambda j: json.dumps(j).encode()[:-1])
)
def test_whatever_bytes_come_they_are_refused_with_a_reason(as_alice, body):
    response = as_alice.post("/api/orders", body, content_type="application/json")

    assert response.status_code == 400
    assert response.json()["error"]["code"]
    assert nothing_is_stored()


@pytest.mark.parametrize(
    ("payment", "field"),
    [(..., "payment"), (None, "payment"), ({}, "payment.token"), ({"token": None}, "payment.token")],
)
def test_without_a_default_token_an_order_has_to_name_what_pays(as_alice, settings, payment, field):
    settings.DEFAULT_PAYMENT_TOKEN = ""
    body = an_order() | ({} if payment is ... else {"payment": payment})

    response = as_alice.post("/api/orders", json.dumps(body), content_type="application/json")

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["field"]) == (400, "required", field)
    assert nothing_is_stored()
    named = as_alice.post(
        "/api/orders", json.dumps(an_order(payment={"token": "tok_real"})), content_type="application/json"
    )
    assert named.status_code == 201
    assert Order.objects.get().payment_token == "tok_real"
