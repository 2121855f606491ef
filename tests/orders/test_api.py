"""Placing orders and asking for them over HTTP, as clients do."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from inventory.models import Product, Reservation, StockItem
from orders import commands
from orders.legs import PAYMENT, STOCK
from orders.models import Journey, Order, OrderLine
from tests.factories import make_transaction
from tests.orders.conftest import an_order, client_of

BY_ID = {
    "customerId": "7",
    "items": [
        {"productId": 1, "quantity": 2, "price": 29.99},
        {"productId": 2, "quantity": 1, "price": 149.99},
    ],
}
BY_NAME = {
    "customerName": "John Doe",
    "items": [
        {"productName": "Laptop", "quantity": 1, "price": 999.99},
        {"productName": "T-shirt", "quantity": 2, "price": 29.99},
    ],
}


# --- Placing ----------------------------------------------------------------------------------------------


def test_it_places_an_order_by_product_id(as_alice):
    response = as_alice.post("/api/orders", BY_ID)

    body = response.json()
    assert response.status_code == 201
    assert response["Location"] == f"/api/orders/{body['orderId']}"
    assert body["id"] == body["orderId"]
    assert (body["customerId"], body["customerName"]) == ("7", "7")
    assert (body["status"], body["totalAmount"], body["currency"]) == ("Pending", 209.97, "USD")
    assert re.fullmatch(r"ORD-\d{14}-\d{4,}", body["orderNumber"])


def test_it_places_an_order_by_product_name(as_alice):
    body = as_alice.post("/api/orders", BY_NAME).json()

    assert (body["customerId"], body["customerName"]) == (None, "John Doe")
    assert body["totalAmount"] == 1059.97
    assert [(line["productName"], line["quantity"], line["amount"]) for line in body["items"]] == [
        ("T-shirt", 2, 59.98),
        ("Laptop", 1, 999.99),
    ]


def test_it_places_an_order_by_sku_and_without_a_price(place):
    body = place(items=[{"sku": "BAG-1", "quantity": 1}])

    assert [(line["sku"], line["price"]) for line in body["items"]] == [("BAG-1", 149.99)]


def test_it_writes_money_with_two_decimals(as_alice):
    response = as_alice.post("/api/orders", an_order(items=[{"productId": 1, "quantity": 10}]))

    assert b'"totalAmount":299.90,' in response.content


def test_it_takes_a_customer_id_that_is_a_number(place):
    assert place(customerId=42)["customerId"] == "42"


def test_it_stores_everything_that_may_be_said_about_an_order(place):
    address = {"name": "Alice", "line1": "1 Main St", "postalCode": "12345", "country": "CA"}
    body = place(
        customerId="c-1",
        email="alice@example.com",
        shippingAddress=address,
        payment={"token": "tok_visa"},
        hold=True,
    )

    order = Order.objects.get(pk=body["id"])
    assert (order.email, order.country, order.payment_token) == ("alice@example.com", "CA", "tok_visa")
    assert body["shippingAddress"] == order.shipping_address == address
    assert (body["held"], order.journey.due_at) == (True, None)


def test_it_merges_lines_of_the_same_product(place):
    body = place(items=[{"productId": 1, "quantity": 2}, {"sku": "TEE-1", "quantity": 3}])

    assert [(line["productId"], line["quantity"]) for line in body["items"]] == [(1, 5)]


def test_the_answer_to_placing_is_what_asking_for_the_order_would_say(as_alice):
    placed = as_alice.post("/api/orders", an_order())

    asked = as_alice.get(placed["Location"])
    assert asked.json() == placed.json()
    assert asked["ETag"] == placed["ETag"]


# --- Asking for one ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "uuid", "orderNumber"])
def test_it_finds_an_order_by_its_id_uuid_and_number(as_alice, place, name):
    body = place()

    assert as_alice.get(f"/api/orders/{body[name]}").json()["id"] == body["id"]


def test_it_does_not_take_a_mistyped_number_for_another_orders(as_alice, place):
    number = place()["orderNumber"]

    mistyped = number.replace("ORD-2", "ORD-1")

    assert as_alice.get(f"/api/orders/{number}").status_code == 200
    assert as_alice.get(f"/api/orders/{mistyped}").status_code == 404


@pytest.mark.parametrize(
    "reference", ["0", "999999", "9" * 30, "nonsense", "ORD-20260101000000-0", "%00", "-1", "1.0"]
)
def test_it_finds_nothing_under_another_reference(as_alice, reference):
    response = as_alice.get(f"/api/orders/{reference}")

    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def test_it_says_not_modified_until_something_happens(as_alice, place):
    where = f"/api/orders/{place(hold=True)['id']}"
    etag = as_alice.get(where)["ETag"]

    same = as_alice.get(where, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)

    as_alice.post(f"{where}/process")
    changed = as_alice.get(where, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed["ETag"] != etag


def test_a_payment_that_has_no_event_yet_changes_the_etag(as_alice, place):
    body = place()
    where = f"/api/orders/{body['id']}"
    etag = as_alice.get(where)["ETag"]
    make_transaction(Order.objects.get(pk=body["id"]), "authorize", amount="59.98", token="tok_demo")

    asked = as_alice.get(where, headers={"If-None-Match": etag})

    assert asked.status_code == 200
    assert asked.json()["payments"][0]["state"] == "unknown"
    assert b"tok_demo" not in asked.content


def test_only_staff_see_why_an_order_needs_attention(as_alice, as_operator, place):
    order_id = place()["id"]
    (journey,) = Journey.objects.lock([order_id])
    journey.escalate("payment_outcome for 5 attempts", details="Traceback: secret")
    Journey.objects.save_all([journey])

    assert "attention" not in as_alice.get(f"/api/orders/{order_id}").json()
    assert as_operator.get(f"/api/orders/{order_id}").json()["attention"] == "payment_outcome for 5 attempts"
    customers = as_alice.get(f"/api/orders/{order_id}/events").json()["results"]
    assert [event["data"] for event in customers][1:] == [{}]
    assert b"secret" not in as_operator.get(f"/api/orders/{order_id}/events").content


def test_it_lists_the_events_after_a_sequence(as_alice, place):
    order_id = place(hold=True)["id"]
    as_alice.post(f"/api/orders/{order_id}/process")
    as_alice.post(f"/api/orders/{order_id}/cancel?reason=Changed%20mind")

    everything = as_alice.get(f"/api/orders/{order_id}/events").json()
    assert [(event["sequence"], event["status"]) for event in everything["results"]] == [
        (1, "Pending"),
        (2, None),
        (3, "Cancelled"),
    ]
    assert everything["next"] is None
    later = as_alice.get(f"/api/orders/{order_id}/events?after=2").json()["results"]
    assert [event["type"] for event in later] == ["order_cancelled"]


# --- Asking for many --------------------------------------------------------------------------------------


def ids(response):
    assert response.status_code == 200, response.content
    return [order["id"] for order in response.json()["results"]]


def test_it_pages_through_orders_newest_first(as_alice, place):
    placed = [place()["id"] for _ in range(5)]

    seen, address = [], "/api/orders?pageSize=2"
    while address:
        response = as_alice.get(address)
        seen.append(ids(response))
        place()  # what is placed meanwhile moves nothing
        address = response.json()["next"]
    newest_first = placed[::-1]
    assert seen == [newest_first[:2], newest_first[2:4], newest_first[4:]]


def test_it_filters_by_status_whatever_the_case(as_alice, place):
    pending, cancelled = place()["id"], place()["id"]
    as_alice.post(f"/api/orders/{cancelled}/cancel")

    assert ids(as_alice.get("/api/orders?status=cancelled")) == [cancelled]
    assert ids(as_alice.get("/api/orders?status=PENDING&status=Confirmed")) == [pending]
    assert ids(as_alice.get("/api/orders?status=pending,Cancelled")) == [cancelled, pending]


def test_it_filters_by_customer_and_by_date(as_alice, place):
    alices, johns = place()["id"], place(customerName="John / Döe")["id"]
    Order.objects.filter(pk=alices).update(placed_at=timezone.now() - timedelta(days=2))
    yesterday = (timezone.now() - timedelta(days=1)).isoformat()

    assert ids(as_alice.get("/api/orders", {"customer": "Alice"})) == [alices]
    assert ids(as_alice.get("/api/orders", {"createdFrom": yesterday})) == [johns]
    assert ids(as_alice.get("/api/orders", {"createdTo": yesterday})) == [alices]
    everything = {"createdTo": yesterday, "customer": "Alice", "status": "pending"}
    assert ids(as_alice.get("/api/orders", everything)) == [alices]
    assert ids(as_alice.get("/api/orders/customer/John%20/%20D%C3%B6e")) == [johns]


def test_it_lists_pending_orders(as_alice, place):
    pending, cancelled = place()["id"], place()["id"]
    as_alice.post(f"/api/orders/{cancelled}/cancel")

    assert ids(as_alice.get("/api/orders/pending")) == [pending]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("status=lost", "invalid_parameter"),
        ("status=", "invalid_parameter"),
        ("pageSize=0", "invalid_parameter"),
        ("pageSize=201", "invalid_parameter"),
        ("pageSize=ten", "invalid_parameter"),
        ("cursor=-1", "invalid_parameter"),
        ("cursor=99999999999999999999", "invalid_parameter"),
        ("cursor=%00", "invalid_parameter"),
        ("createdFrom=yesterday", "invalid_parameter"),
        ("createdFrom=0001-01-01T00:00:00%2B14:00", "invalid_parameter"),
        ("createdTo=2026-01-01&createdTo=2026-01-02", "invalid_parameter"),
        ("customer=a%00b", "control_characters"),
        ("customer=4111111111111111", "card_number_refused"),
        ("owner=1", "unknown_parameter"),
    ],
)
def test_it_refuses_a_filter_that_means_nothing(as_alice, query, code):
    response = as_alice.get(f"/api/orders?{query}")

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert response.json()["error"]["field"] == query.partition("=")[0]


def test_a_page_asks_the_database_once(as_alice, place, django_assert_num_queries):
    for _ in range(3):
        place()

    with django_assert_num_queries(1):
        as_alice.get("/api/orders")


def test_placing_an_order_of_known_products_takes_the_one_statement_that_stores_it(
    as_alice, place, django_assert_num_queries
):
    place()

    with django_assert_num_queries(0):  # it is a prepared one, which Django does not see
        place()


def test_a_price_that_is_remembered_is_not_charged_once_it_changed(as_alice, place):
    place()
    Product.objects.filter(pk=1).update(price="31.50")

    refused = as_alice.post("/api/orders", an_order())
    order = place(items=[{"productId": 1, "quantity": 2}])

    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "price_changed")
    assert (order["items"][0]["price"], order["goodsAmount"]) == (31.5, 63.0)


def test_a_product_that_is_remembered_is_not_sold_once_it_is_retired(as_alice, place):
    place()
    Product.objects.filter(pk=1).update(active=False)

    assert as_alice.post("/api/orders", an_order()).json()["error"]["code"] == "unknown_product"
    assert Order.objects.count() == 1


# --- Commands ---------------------------------------------------------------------------------------------


def test_it_starts_a_held_order(as_alice, place):
    order_id = place(hold=True)["id"]

    response = as_alice.post(f"/api/orders/{order_id}/process")

    assert (response.status_code, response.json()["held"]) == (200, False)
    assert Order.objects.get(pk=order_id).journey.due_at is not None


def test_starting_an_order_that_is_under_way_changes_nothing(as_alice, place):
    order_id = place()["id"]

    response = as_alice.post(f"/api/orders/{order_id}/process")

    assert (response.status_code, response.json()["version"]) == (200, 1)


def test_completing_an_order_that_is_under_way_is_accepted_for_later(as_operator, place):
    response = as_operator.post(f"/api/orders/{place()['id']}/complete")

    assert (response.status_code, response.json()["status"]) == (202, "Pending")


def test_it_completes_a_confirmed_order(as_operator, place):
    order_id = place()["id"]
    confirm(order_id)

    response = as_operator.post(f"/api/orders/{order_id}/complete")

    body = response.json()
    assert (response.status_code, body["status"], body["progress"]) == (200, "Completed", 100)
    assert body["completedAt"] == body["finishedAt"] is not None


def test_it_cancels_an_order_at_once_that_holds_nothing(as_alice, place):
    response = as_alice.post(f"/api/orders/{place()['id']}/cancel?reason=Changed%20mind")

    body = response.json()
    assert (response.status_code, body["status"], body["reason"]) == (200, "Cancelled", "Changed mind")
    assert body["completedAt"] is None


def test_it_accepts_to_cancel_an_order_that_holds_something(as_alice, place):
    order_id = place()["id"]
    confirm(order_id)

    response = as_alice.post(f"/api/orders/{order_id}/cancel", {"reason": "Changed mind"})

    assert (response.status_code, response.json()["status"]) == (202, "Cancelling")
    assert response.json()["reason"] == "Changed mind"


def test_it_does_not_complete_a_cancelled_order(as_alice, as_operator, place):
    order_id = place()["id"]
    as_alice.post(f"/api/orders/{order_id}/cancel")

    response = as_operator.post(f"/api/orders/{order_id}/complete")

    assert response.status_code == 409
    assert response.json() == {
        "error": {"code": "not_possible", "message": "A cancelled order cannot be completed."}
    }


def test_an_operator_takes_back_a_completed_order(as_operator, place):
    order_id = place()["id"]
    confirm(order_id)
    commands.complete_order(order_id=order_id)

    assert as_operator.post(f"/api/orders/{order_id}/cancel").status_code == 409
    response = as_operator.post(f"/api/orders/{order_id}/refund?reason=Damaged")
    assert (response.status_code, response.json()["status"]) == (202, "Cancelling")


def test_an_operator_has_an_order_looked_at_again(as_operator, place):
    order_id = place()["id"]
    (journey,) = Journey.objects.lock([order_id])
    journey.claimed(lease=60)
    journey.escalate("a defect")
    Journey.objects.save_all([journey])

    response = as_operator.post(f"/api/orders/{order_id}/retry")

    assert (response.status_code, response.json()["attention"]) == (200, None)


@pytest.mark.parametrize("action", ["process", "complete", "cancel", "refund", "retry"])
def test_a_command_refuses_fields_it_does_not_know(as_operator, place, action):
    response = as_operator.post(f"/api/orders/{place()['id']}/{action}", {"status": "Completed"})

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unknown_field"
    assert response.json()["error"]["field"] == "status"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("x" * 201, "too_long"),
        ("a\x00b", "control_characters"),
        ("card 4111 1111 1111 1111", "card_number_refused"),
    ],
)
def test_a_reason_is_checked_wherever_it_stands(as_alice, place, reason, code):
    where = f"/api/orders/{place()['id']}/cancel"

    for response in (
        as_alice.post(where, {"reason": reason}),
        as_alice.post(where, QUERY_STRING=f"reason={reason}"),
    ):
        assert (response.status_code, response.json()["error"]["code"]) == (400, code)
        assert response.json()["error"]["field"] == "reason"


def confirm(order_id):
    """Take an order through its legs, without asking anybody."""
    for line in OrderLine.objects.filter(order_id=order_id):
        StockItem.objects.filter(product_id=line.product_id).update(reserved=line.quantity)
        Reservation.objects.create(order_id=order_id, product_id=line.product_id, quantity=line.quantity)
    (journey,) = Journey.objects.lock([order_id])
    journey.claimed(lease=60)
    journey.enter(STOCK.RESERVED)
    journey.shipping_quoted(Decimal(0), goods=Decimal(10))
    journey.enter(PAYMENT.AUTHORIZED)
    journey.enter(PAYMENT.CAPTURED)
    journey.settle()
    Journey.objects.save_all([journey])


# --- For people -------------------------------------------------------------------------------------------


def test_a_browser_gets_a_page_with_a_form(alice, unlimited):
    page = client_of(alice).get("/api/orders", headers={"Accept": "text/html"})

    assert page.status_code == 200
    assert "<textarea" in page.content.decode()


def test_the_manuals_response_is_part_of_ours(place):
    names = "id orderId orderNumber customerName totalAmount status createdAt completedAt"
    assert set(names.split()) <= set(place())


def test_a_country_is_taken_in_small_letters(as_alice):
    order = as_alice.post("/api/orders", an_order(shippingAddress={"country": "de"})).json()
    assert (order["country"], order["shippingAddress"]["country"]) == ("DE", "DE")


def test_empty_lines_of_an_address_are_left_out(as_alice):
    address = {"line1": "1 Main St", "line2": "", "region": " ", "country": "CA"}
    order = as_alice.post("/api/orders", an_order(shippingAddress=address)).json()
    assert order["shippingAddress"] == {"line1": "1 Main St", "country": "CA"}


@pytest.mark.parametrize("name", ["Jose\u0301", "Jos\u00e9"])
def test_a_name_is_stored_as_given_and_found_in_either_normal_form(as_alice, name):
    other = {"Jose\u0301": "Jos\u00e9", "Jos\u00e9": "Jose\u0301"}[name]
    assert as_alice.post("/api/orders", an_order(customerName=name)).json()["customerName"] == name

    assert len(as_alice.get("/api/orders", {"customer": other}).json()["results"]) == 1
    assert len(as_alice.get(f"/api/orders/customer/{other}").json()["results"]) == 1


@pytest.mark.parametrize("address", ["o'hara+x@example.co.uk", "müller@bücher.example", "a@intranet.local"])
def test_an_address_that_can_be_is_taken(as_alice, address):
    assert as_alice.post("/api/orders", an_order(email=address)).status_code == 201


@pytest.mark.parametrize("reason", ["see ticket ABC_123_x", "out_of_stock"])
def test_a_reason_that_was_typed_is_no_code(as_alice, reason):
    order = as_alice.post("/api/orders", an_order(hold=True)).json()
    cancelled = as_alice.post(f"/api/orders/{order['id']}/cancel", {"reason": reason}).json()
    assert (cancelled["reason"], cancelled["reasonCode"]) == (reason, None)


@pytest.mark.parametrize(
    "name",
    ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "Ann \U0001f469\u200d\U0001f680", "\u05d0\u200f"],
)
def test_joiners_and_marks_of_other_scripts_are_part_of_names(as_alice, name):
    assert as_alice.post("/api/orders", an_order(customerName=name)).status_code == 201


def test_what_is_absent_is_null_and_a_time_has_one_name(as_alice, as_operator, place):
    body = place(hold=True)

    assert (body["customerId"], body["email"]) == (None, None)
    assert body["placedAt"] == body["createdAt"]
    done = as_alice.post(f"/api/orders/{body['id']}/cancel").json()
    assert as_operator.get(f"/api/orders/{done['id']}/explanation").json()["waitingFor"] is None


@pytest.mark.parametrize("name", ["placed", "created"])
def test_orders_are_listed_by_the_time_they_were_placed(as_alice, place, name):
    day, before = place()["placedAt"][:10], "2020-01-01"

    def count(**parameters):
        return len(as_alice.get("/api/orders", parameters).json()["results"])

    assert (count(**{f"{name}From": day}), count(**{f"{name}To": before})) == (1, 0)
    twice = as_alice.get("/api/orders", {"placedFrom": day, "createdFrom": day})
    assert (twice.status_code, twice.json()["error"]["field"]) == (400, "createdFrom")


def test_a_browser_is_shown_links_commands_and_an_example(alice, unlimited, place):
    client, order_id = client_of(alice), place()["id"]

    order = client.get(f"/api/orders/{order_id}", headers={"Accept": "text/html"}).content.decode()
    assert f'<a href="http://testserver/api/orders/{order_id}/cancel"' in order
    assert "<h1>Get an order</h1>" in order
    orders = client.get("/api/orders", headers={"Accept": "text/html"}).content.decode()
    assert "&quot;productId&quot;: 1" in orders
    command = client.get(f"/api/orders/{order_id}/cancel", headers={"Accept": "text/html"})
    assert (command.status_code, "<textarea" in command.content.decode()) == (405, True)
