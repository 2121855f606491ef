"""The shop's own reference and facts of an order."""

import csv
import hashlib
import io
import json
import threading
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import Client

from api.parsers import parsed
from api.requests import read
from notifications import mail
from orders.http import requests
from orders.http.requests import BulkOrderRequest, read_bulk_order
from orders.models import Order
from orders.operators.search import found
from orders.placing import references
from tests.factories import make_token
from tests.orders.conftest import an_order, client_of

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = "/api/orders"
FACTS = {"channel": "web", "note": "a: b"}


@pytest.fixture
def send(alice, unlimited):
    """Send lines in bulk; return the lines of the answer."""

    def send(*lines: Any, **headers: str) -> list[dict[str, Any]]:
        client = Client(headers={"Authorization": f"Token {make_token(alice)}"} | headers)
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        response: Any = client.post(f"{ORDERS}/bulk", body, content_type="application/x-ndjson")
        return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]

    return send


def with_reference(reference: str = "web-1", **more: Any) -> dict[str, Any]:
    return an_order(externalReference=reference, **more)


def test_an_order_keeps_its_reference_and_facts(as_alice):
    placed = as_alice.post(ORDERS, with_reference(metadata=FACTS)).json()
    found_again = as_alice.get(f"{ORDERS}/{placed['id']}").json()
    for answer in (placed, found_again):
        assert (answer["externalReference"], answer["metadata"]) == ("web-1", FACTS)


@pytest.mark.parametrize("language", ["de", "en-GB", "zh-Hant-TW", None])
def test_an_order_keeps_its_language(language, as_alice):
    placed = as_alice.post(ORDERS, an_order(**({"language": language} if language else {}))).json()
    found_again = as_alice.get(f"{ORDERS}/{placed['id']}").json()
    assert (placed["language"], found_again["language"]) == (language, language)


@pytest.mark.parametrize("language", ["", "german!", "de_DE", "d", 5])
def test_what_is_no_language_is_refused(language, as_alice):
    refusal = as_alice.post(ORDERS, an_order(language=language))
    assert refusal.status_code == 400
    assert refusal.json()["error"]["field"] == "language"


def test_bulk_lines_have_a_language(send):
    (answer,) = send(an_order(language="de", customerName="J"))
    assert "orderId" in answer
    assert Order.objects.get().language == "de"


def test_an_order_without_them_has_none(as_alice):
    placed = as_alice.post(ORDERS, an_order()).json()
    assert (placed["externalReference"], placed["metadata"]) == (None, {})


@pytest.fixture
def as_bob(bob, unlimited):
    return client_of(bob)


def test_a_second_order_of_the_account_with_the_reference_is_refused_with_the_number_of_the_first(
    as_alice, as_bob
):
    first = as_alice.post(ORDERS, with_reference()).json()
    refused = as_alice.post(ORDERS, with_reference())
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["field"]) == (
        409,
        "reference_taken",
        "externalReference",
    )
    assert error["details"][0]["orderNumber"] == first["orderNumber"]
    assert as_bob.post(ORDERS, with_reference()).status_code == 201


def test_a_repeated_request_gets_its_order_and_not_the_refusal(as_alice):
    key = {"Idempotency-Key": "one"}
    first = as_alice.post(ORDERS, with_reference(), headers=key).json()
    again = as_alice.post(ORDERS, with_reference(), headers=key)
    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    other = as_alice.post(ORDERS, with_reference(), headers={"Idempotency-Key": "two"})
    assert other.json()["error"]["code"] == "reference_taken"


def test_a_refused_order_leaves_its_key_free(as_alice):
    as_alice.post(ORDERS, with_reference())
    key = {"Idempotency-Key": "free"}
    as_alice.post(ORDERS, with_reference(), headers=key)
    assert as_alice.post(ORDERS, with_reference("web-2"), headers=key).status_code == 201


def test_in_bulk_each_line_with_a_taken_reference_is_refused_alone(send, as_alice):
    known = as_alice.post(ORDERS, with_reference("known")).json()["orderNumber"]
    lines = [
        with_reference("known"),
        with_reference("new", metadata=FACTS),
        with_reference("new"),
        an_order(),
    ]
    of_known, new, second, without = send(*lines)
    assert of_known["error"]["details"][0]["orderNumber"] == known
    assert second["error"]["details"][0]["orderNumber"] == new["orderNumber"]
    assert second["error"]["code"] == "reference_taken"
    assert "orderId" in without
    stored = Order.objects.get(pk=new["orderId"])
    assert (stored.external_reference, stored.metadata) == ("new", FACTS)


def test_in_bulk_a_refused_line_does_not_take_its_reference(send):
    refused, placed = send(with_reference(items=[{"productId": 99, "quantity": 1}]), with_reference())
    assert refused["error"]["code"] == "unknown_product"
    assert "orderId" in placed


def test_in_bulk_a_repeated_line_gets_its_order(send):
    first, again, other = send(with_reference(key="a"), with_reference(key="a"), with_reference(key="b"))
    assert again == {
        "line": 2,
        "orderId": first["orderId"],
        "orderNumber": first["orderNumber"],
        "replayed": True,
    }
    assert other["error"]["code"] == "reference_taken"


def test_in_bulk_a_reference_that_is_taken_meanwhile_is_found(send, as_alice, monkeypatch):
    look = references.numbers_of

    def taken_after_the_look(wanted, *, owner_id):
        before = look(wanted, owner_id=owner_id)
        monkeypatch.setattr(references, "numbers_of", look)
        elsewhere = threading.Thread(target=take)
        elsewhere.start()
        elsewhere.join()
        return before

    def take():
        Order.objects.filter(customer_name="Quick").update(external_reference="web-1")
        connection.close()

    as_alice.post(ORDERS, an_order(customerName="Quick"))
    monkeypatch.setattr(references, "numbers_of", taken_after_the_look)
    refused, placed = send(with_reference(), with_reference("web-2"))
    assert refused["error"]["code"] == "reference_taken"
    assert "orderId" in placed


def test_other_broken_constraints_are_no_taken_references():
    assert not references.is_taken(IntegrityError('violates check constraint "another"'))


def test_orders_are_found_by_their_reference(as_alice, as_bob, alice):
    wanted = as_alice.post(ORDERS, with_reference()).json()["id"]
    as_alice.post(ORDERS, with_reference("web-2"))
    as_bob.post(ORDERS, with_reference())
    listed = as_alice.get(ORDERS, {"externalReference": "web-1"}).json()["results"]
    assert [order["id"] for order in listed] == [wanted]
    assert wanted in found(Order.objects.all(), " web-1 ").values_list("pk", flat=True)
    assert as_alice.get(ORDERS, {"externalReference": ""}).status_code == 400


def test_the_export_has_the_reference_and_as_ndjson_the_facts_too(as_alice):
    as_alice.post(ORDERS, with_reference(metadata=FACTS))

    def exported(form: str) -> str:
        response: Any = as_alice.get(f"{ORDERS}/export", {"format": form})
        return b"".join(response.streaming_content).decode()

    (row,) = csv.DictReader(io.StringIO(exported("csv")))
    assert row["externalReference"] == "web-1"
    assert "metadata" not in row
    whole = json.loads(exported("ndjson"))
    assert (whole["externalReference"], whole["metadata"]) == ("web-1", FACTS)


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"externalReference": ""}, "too_short", "externalReference"),
        ({"externalReference": "x" * 65}, "too_long", "externalReference"),
        ({"externalReference": 7}, "wrong_type", "externalReference"),
        ({"externalReference": "4111 1111 1111 1111"}, "card_number_refused", "externalReference"),
        ({"metadata": []}, "wrong_type", "metadata"),
        ({"metadata": {"a": 1}}, "wrong_type", "metadata"),
        ({"metadata": {"a": {}}}, "wrong_type", "metadata"),
        ({"metadata": {"": "a"}}, "too_short", "metadata"),
        ({"metadata": {"x" * 41: "a"}}, "too_long", "metadata"),
        ({"metadata": {"a": "x" * 501}}, "too_long", "metadata"),
        ({"metadata": {f"a{n}": "" for n in range(51)}}, "too_long", "metadata"),
        ({"metadata": {"a": "4111111111111111"}}, "card_number_refused", "metadata.a"),
        ({"metadata": {"4111111111111111": "a"}}, "card_number_refused", "metadata"),
    ],
)
def test_what_is_no_reference_or_fact_is_refused_alone_and_in_bulk(as_alice, send, fields, code, field):
    error = as_alice.post(ORDERS, an_order(**fields)).json()["error"]
    (line,) = send(an_order(**fields))
    for each in (error, line["error"]):
        assert (each["code"], each["field"]) == (code, field)
    assert not Order.objects.exists()


def test_a_line_with_all_is_read_the_fast_way(monkeypatch):
    monkeypatch.setattr(requests, "read", lambda *_: pytest.fail("the slow way"))
    line = with_reference(metadata={"channel": "web", "shelf": "7"}, language="de")
    read_line = read_bulk_order(json.dumps(line).encode())
    assert (read_line.metadata, read_line.language) == ({"channel": "web", "shelf": "7"}, "de")


FIELDS_SINCE = (
    b',"expectedTotal":null',
    b',"externalReference":null',
    b',"metadata":null',
    b',"language":null',
    b',"unitPrice":null',
    b',"properties":null',
    b',"adjustments":null',
    b',"capture":null',
)


def test_a_request_without_them_has_the_fingerprint_of_earlier_releases():
    order = read(parsed(json.dumps(an_order()).encode()), BulkOrderRequest)
    body = requests.CANONICAL.encode(order)
    for field in FIELDS_SINCE:
        assert field in body
        body = body.replace(field, b"")
    assert order.fingerprint() == hashlib.sha256(b"BulkOrderRequest" + body).digest()


def test_a_quote_ignores_them(as_alice):
    as_alice.post(ORDERS, with_reference())
    assert as_alice.post(f"{ORDERS}/quote", with_reference(metadata=FACTS)).status_code == 200


def test_mails_and_pages_of_staff_have_them(as_alice, alice):
    placed = as_alice.post(ORDERS, with_reference(metadata=FACTS)).json()
    order = Order.objects.select_related("journey").get(pk=placed["id"])
    context = mail._context(order, [], [])
    assert (context["reference"], context["metadata"]) == ("web-1", FACTS)
