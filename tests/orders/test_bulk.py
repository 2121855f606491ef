"""POST /api/orders/bulk: a line in, a line out, each order with its own fate."""

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from api.models import IdempotencyKey
from api.ndjson import lines_of
from api.parsers import parsed
from api.problems import Problem
from api.requests import read
from inventory.models import Product
from orders.http import bulk_views
from orders.http.places import INTAKES
from orders.http.requests import BulkOrderRequest, read_bulk_order
from orders.maintenance import audit
from orders.models import Journey, Order, OrderEvent, OrderLine
from orders.placing import bulk
from tests.factories import make_token
from tests.orders.conftest import an_order

pytestmark = pytest.mark.django_db(transaction=True)

BULK = "/api/orders/bulk"
Send = Callable[..., list[dict[str, Any]]]


def body_of(lines: list[Any]) -> bytes:
    return b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )


@pytest.fixture
def post(alice, unlimited):
    headers = {"Authorization": f"Token {make_token(alice)}"}

    def post(body: bytes, *, content_type: str = "application/x-ndjson", **more: str):
        return Client(headers=headers | more).post(BULK, body, content_type=content_type)

    return post


@pytest.fixture
def send(post) -> Send:
    """Send lines in bulk; return the lines of the answer."""

    def send(*lines: Any, **headers: str) -> list[dict[str, Any]]:
        response = post(body_of(list(lines)), **headers)
        assert response.status_code == 200, response.content
        return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]

    return send


def test_it_answers_each_line_with_its_order(send, as_alice):
    answers = send(an_order(), an_order(customerName="Bob"))
    assert [answer["line"] for answer in answers] == [1, 2]
    second = as_alice.get(f"/api/orders/{answers[1]['orderId']}").json()
    assert (second["orderNumber"], second["customerName"]) == (answers[1]["orderNumber"], "Bob")
    assert second["items"] == [
        {
            "line": 1,
            "productId": 1,
            "sku": "TEE-1",
            "productName": "T-shirt",
            "quantity": 2,
            "price": 29.99,
            "amount": 59.98,
            "properties": {},
            "adjustments": [],
        }
    ]


def test_its_orders_are_those_that_single_requests_would_have_made(send, place, as_alice):
    wanted = an_order(
        customerId=7,
        email="alice@example.com",
        items=[
            {"sku": "BAG-1", "quantity": 1},
            {"productName": "T-shirt", "quantity": 1},
            {"productId": 1, "quantity": 2},
        ],
        shippingAddress={"city": 'Quoted "town"', "line1": "Back\\slash, {brace}", "country": "DE"},
        payment={"token": "tok_other"},
    )
    single = place(**wanted)
    bulk = as_alice.get(f"/api/orders/{send(wanted)[0]['orderId']}").json()
    own = {"id", "orderId", "orderNumber", "uuid", "placedAt", "createdAt", "links"}
    assert {k: v for k, v in bulk.items() if k not in own} == {
        k: v for k, v in single.items() if k not in own
    }
    events = [
        (e.sequence, e.type, e.progress, {k: v for k, v in e.data.items() if k != "request"})
        for e in OrderEvent.objects.filter(order_id__in=[single["id"], bulk["id"]])
    ]
    assert events[0] == events[1]


def test_uuids_begin_with_the_time_so_that_new_ones_stand_together(send, place):
    send(an_order(), an_order())
    place()
    orders = Order.objects.all()
    assert [order.uuid.version for order in orders] == [7] * 3
    assert len({order.uuid for order in orders}) == 3
    for order in orders:
        assert order.uuid.int >> 80 == pytest.approx(order.placed_at.timestamp() * 1000, abs=5000)


def test_its_orders_know_the_request_they_came_with(send):
    send(an_order(), **{"X-Request-ID": "upload-7"})

    assert OrderEvent.objects.get().data == {
        "amount": "59.98",
        "currency": "USD",
        "held": False,
        "request": "upload-7",
    }


def test_a_bad_line_costs_the_others_nothing(send):
    answers = send(
        an_order(),
        b"{not json",
        an_order(items=[]),
        an_order(items=[{"productId": 99, "quantity": 1}]),
        an_order(items=[{"productId": 1, "quantity": 1, "price": 1.00}]),
        an_order(total=5),
        an_order(customerName="4111 1111 1111 1111"),
        b"[]",
        b"\xff",
        an_order(),
    )
    errors = [answer.get("error", {}) for answer in answers]
    assert [error.get("code") for error in errors] == [
        None,
        "malformed_json",
        "too_short",
        "unknown_product",
        "price_changed",
        "unknown_field",
        "card_number_refused",
        "wrong_type",
        "malformed_json",
        None,
    ]
    assert errors[3]["field"] == "items[0].productId"
    assert errors[4]["details"][0]["current"] == 29.99
    assert Order.objects.count() == 2


def test_empty_lines_are_passed_over_and_counted(send):
    assert [answer["line"] for answer in send(an_order(), b"", b"  \r", an_order())] == [1, 4]


def test_nothing_in_nothing_out(send):
    assert send(b"") == []


def test_a_held_order_stays_pending(send):
    send(an_order(hold=True), an_order())
    due = Journey.objects.order_by("order_id").values_list("due_at", flat=True)
    assert [moment is None for moment in due] == [True, False]


def test_a_line_too_long_is_refused_and_the_next_one_is_not(send):
    answers = send(b"x" * 200_000, an_order(), b"y" * 70_000)
    assert [answer.get("error", {}).get("code") for answer in answers] == [
        "line_too_long",
        None,
        "line_too_long",
    ]


def test_more_lines_than_a_chunk_come_back_in_order(send, monkeypatch):
    monkeypatch.setattr(bulk_views, "CHUNK_LINES", 7)
    answers = send(*[an_order(customerName=f"Customer {n}") if n % 3 else b"?" for n in range(100)])
    assert [answer["line"] for answer in answers] == list(range(1, 101))
    names = dict(Order.objects.values_list("id", "customer_name"))
    assert all(names[a["orderId"]] == f"Customer {a['line'] - 1}" for a in answers if "orderId" in a)
    assert len(names) == 66


def test_the_books_are_right_after_it(send):
    send(*[an_order() for _ in range(20)], b"?")
    assert OrderLine.objects.count() == Journey.objects.count() == OrderEvent.objects.count() == 20
    assert audit.run(with_ledger=False).is_clean  # no provider has heard of them


# --- Keys -------------------------------------------------------------------------------------------------


def test_a_line_with_a_key_may_be_sent_again(send):
    (first,) = send(an_order(key="k-1"))
    (again,) = send(an_order(key="k-1"))
    assert again == first | {"replayed": True}
    assert Order.objects.count() == 1


def test_a_key_is_compared_by_what_it_asks_for_and_not_by_how_it_is_written(send):
    compact = json.dumps(an_order(key="k"), separators=(",", ":")).encode()
    answers = send(an_order(key="k"), compact, compact.replace(b"29.99", b"29.990"))
    assert [answer.get("replayed", False) for answer in answers] == [False, True, True]


def test_a_key_that_belongs_to_another_order_is_refused(send):
    first, second, third = send(an_order(key="k"), an_order(key="k", customerName="Bob"), an_order(key="k"))
    assert second["error"]["code"] == "idempotency_key_reused"
    assert second["error"]["field"] == "key"
    assert third == {**first, "line": 3, "replayed": True}
    (fourth,) = send(an_order(key="k", customerName="Bob"))
    assert fourth["error"]["code"] == "idempotency_key_reused"


def test_the_key_of_a_refused_order_stays_free(send):
    refused, accepted = send(an_order(key="k", items=[{"productId": 99, "quantity": 1}]), an_order(key="k"))
    assert refused["error"]["code"] == "unknown_product"
    assert "orderId" in accepted


def test_a_repeat_is_answered_whatever_became_of_the_price(send):
    (first,) = send(an_order(key="k"))
    Product.objects.filter(id=1).update(price="31.00")
    assert send(an_order(key="k")) == [first | {"replayed": True}]


def test_a_key_of_a_single_request_is_not_taken_for_a_line(send, as_alice):
    as_alice.post("/api/orders", an_order(), headers={"Idempotency-Key": "k"})
    (answer,) = send(an_order(key="k"))
    assert answer["error"]["code"] == "idempotency_key_reused"


def test_keys_of_different_people_have_nothing_to_do_with_each_other(send, bob):
    (mine,) = send(an_order(key="k"))
    header = {"Authorization": f"Token {make_token(bob)}"}
    (theirs,) = send(an_order(key="k"), **header)
    assert theirs["orderId"] != mine["orderId"]


def test_the_key_of_the_request_is_one_for_each_of_its_lines(send):
    key = {"Idempotency-Key": "upload-7"}
    first = send(an_order(), an_order(key="own"), **key)
    again = send(an_order(), an_order(key="own"), an_order(), **key)
    assert again[:2] == [answer | {"replayed": True} for answer in first]
    assert "replayed" not in again[2]
    assert set(IdempotencyKey.objects.values_list("key", flat=True)) == {"upload-7/1", "own", "upload-7/3"}


def test_one_key_sent_on_two_connections_at_once_makes_one_order(post):
    body, answers = body_of([an_order(key=f"k-{n}") for n in range(50)]), []

    def send() -> None:
        answers.append(b"".join(post(body).streaming_content))
        connection.close()

    senders = [threading.Thread(target=send) for _ in range(2)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert Order.objects.count() == 50
    told = [{(a["line"], a["orderId"]) for a in map(json.loads, answer.splitlines())} for answer in answers]
    assert told[0] == told[1]


# --- Who, what and when -----------------------------------------------------------------------------------


def test_it_wants_a_login(shop):
    assert Client().post(BULK, b"", content_type="application/x-ndjson").status_code == 401


def test_it_takes_ndjson_only(post):
    response = post(b"{}", content_type="application/json")
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_it_refuses_a_key_that_leaves_no_room_for_the_lines(post):
    response = post(b"\n", **{"Idempotency-Key": "k" * 181})
    assert response.json()["error"]["code"] == "invalid_idempotency_key"


def test_it_asks_to_come_back_when_too_many_orders_wait(post, send, settings):
    send(an_order(), an_order())
    settings.BULK_MAX_WAITING = 1
    response = post(body_of([an_order()]))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "backlog")
    assert int(response["Retry-After"]) > 0


def test_the_backlog_is_not_looked_at_for_every_request(place, monkeypatch):
    monkeypatch.setattr(bulk._BacklogCache, "until", 0.0)
    monkeypatch.setattr(bulk, "POLL_SECONDS", 60.0)
    assert not bulk.is_backlogged(limit=0)
    place()
    assert not bulk.is_backlogged(limit=0)
    assert Journey.objects.are_due(1)


def test_it_refuses_lines_when_the_backlog_does_not_shrink(send, settings, monkeypatch):
    monkeypatch.setattr(bulk_views, "CHUNK_LINES", 1)
    monkeypatch.setattr(bulk, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(bulk_views, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(bulk_views, "PATIENCE_SECONDS", 0.05)
    settings.BULK_MAX_WAITING = 1
    answers = send(*[an_order()] * 200)
    codes = [answer.get("error", {}).get("code") for answer in answers]
    assert codes[:2] == [None, None]
    assert codes[-1] == "backlog"
    assert Order.objects.count() == codes.count(None)


def test_an_account_has_a_part_of_the_places_and_they_become_free_again(post, send, alice):
    places = [INTAKES.take(alice.pk) for _ in range(2)]
    refused = post(b"\n")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests_at_once")
    assert int(refused["Retry-After"]) > 0
    for place in places:
        place.release()
    for _ in range(3):
        send(an_order())


def test_when_others_have_all_places_it_asks_to_come_back(post):
    places = [INTAKES.take(other) for other in (-1, -1, -2)]
    refused = post(b"\n")
    for place in places:
        place.release()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")


def test_lines_pay_and_those_that_the_account_cannot_pay_for_soon_are_refused(send, settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"bulk_lines": "3/h"}
    answers = send(*[an_order()] * 5)
    assert [answer.get("error", {}).get("code") for answer in answers] == [None] * 3 + ["throttled"] * 2
    assert Order.objects.count() == 3


def test_an_account_that_is_a_little_over_its_rate_is_slowed_and_not_refused(send, settings, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr("orders.http.bulk_views.time.sleep", pauses.append)
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"bulk_lines": "60/m"}
    answers = send(*[an_order()] * 70)
    assert [answer for answer in answers if "error" in answer] == []
    assert max(pauses) == pytest.approx(10, abs=5)


def test_a_body_that_hardly_comes_ends_with_a_line_that_says_so(alice, unlimited, settings):
    settings.BULK_SLOW_SECONDS, settings.BULK_MIN_BYTES_PER_SECOND = 0.2, 100_000
    pieces, client_goes = iter([body_of([an_order()]), b""]), threading.Event()

    class Dribble(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            piece = next(pieces)
            if not piece:
                client_goes.wait(20)
            return piece

    dribbling: dict[str, Any] = {
        "CONTENT_LENGTH": "",
        "CONTENT_TYPE": "application/x-ndjson",
        "HTTP_AUTHORIZATION": f"Token {make_token(alice)}",
        "wsgi.input": Dribble(),
        "wsgi.input_terminated": True,
    }
    response: Any = Client().generic("POST", BULK, **dribbling)
    line = next(filter(None, response.streaming_content))
    client_goes.set()
    assert list(response.streaming_content) == []
    assert json.loads(line)["line"] == 1
    assert json.loads(line)["error"]["code"] == "too_slow"
    assert not Order.objects.exists()


def test_a_body_without_its_length_is_read_to_its_end(alice, unlimited):
    """As granian hands over a chunked body."""
    chunked: dict[str, Any] = {
        "CONTENT_LENGTH": "",
        "CONTENT_TYPE": "application/x-ndjson",
        "HTTP_AUTHORIZATION": f"Token {make_token(alice)}",
        "wsgi.input": io.BytesIO(body_of([an_order()])),
        "wsgi.input_terminated": True,
    }
    response: Any = Client().generic("POST", BULK, **chunked)
    assert len(b"".join(response.streaming_content).splitlines()) == 1


# --- The parts --------------------------------------------------------------------------------------------

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-5, 2000), st.decimals(-1, 100, places=2).map(float))
TEXT = st.one_of(
    st.text(max_size=20), st.sampled_from(["Alice", "tok_a", "a@b.c", "4111111111111111", "a:b"])
)
ITEM = st.dictionaries(
    st.sampled_from(["productId", "sku", "productName", "quantity", "price", "unitPrice", "properties", "x"]),
    PLAIN | TEXT | st.dictionaries(TEXT, TEXT, max_size=2),
)
ADJUSTMENT = st.dictionaries(st.sampled_from(["included", "rate", "x"]), PLAIN, max_size=2).map(
    lambda more: {"kind": "tax", "code": "VAT", "amount": 1.5} | more
)
FIELDS = {
    "customerName": TEXT,
    "items": st.lists(ITEM | st.just({"productId": 1, "quantity": 1}), max_size=3),
    "hold": st.booleans(),
    "email": TEXT,
    "key": TEXT,
    "externalReference": TEXT,
    "metadata": st.dictionaries(TEXT, TEXT, max_size=2),
    "adjustments": st.lists(ADJUSTMENT, max_size=2),
    "payment": st.dictionaries(st.just("token"), TEXT),
    "shippingAddress": st.dictionaries(st.sampled_from(["city", "name", "country"]), TEXT),
}
OBJECT = st.lists(
    st.sampled_from(sorted(FIELDS)).flatmap(lambda name: FIELDS[name].map(lambda value: (name, value))),
    max_size=9,
)


def written(pairs: list[tuple[str, Any]]) -> bytes:
    """Return an object that may have a name twice."""
    return ("{" + ", ".join(f"{json.dumps(n)}: {json.dumps(v)}" for n, v in pairs) + "}").encode()


def understood(how: Callable[[bytes], BulkOrderRequest], line: bytes) -> Any:
    try:
        return how(line)
    except Problem as problem:
        return (problem.code, problem.message, problem.field)


@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])  # the first inputs import much
@given(OBJECT.map(written) | st.binary(max_size=30))
def test_the_fast_way_to_read_a_line_understands_it_like_the_slow_one(line):
    assert understood(read_bulk_order, line) == understood(lambda b: read(parsed(b), BulkOrderRequest), line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"customerName": "A", "items": [{"productId": 1, "quantity": 1}], "customerName": "B"}',
        b'{"customerName": "A", "items": [{"productId": 1, "quantity": 1, "quantity": 2}]}',
        b'{"customerName": "A", "items": [{"productId": 1, "quantity": 1}], "payment": {}, "hold": true, "hold": true}',
        b'{"customerName": "A", "items": [], "adjustments": [{"kind": "tax", "code": "V", "amount": 1, "amount": 2}]}',
    ],
)
def test_a_name_given_twice_is_refused(line):
    with pytest.raises(Problem, match="twice"):
        read_bulk_order(line)


@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b""))), st.integers(1, 7))
def test_lines_are_the_same_however_the_body_arrives(lines, size):
    body = b"\n".join(lines)
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    found = list(lines_of(lambda _: pieces.pop(0) if pieces else b"", longest=10))
    expected = body.split(b"\n")
    assert found == [
        None if len(line) > 10 else line for line in (expected if expected[-1] else expected[:-1])
    ]


def test_without_a_default_token_a_line_has_to_name_what_pays(send, settings):
    settings.DEFAULT_PAYMENT_TOKEN = ""

    refused, taken = send(an_order(), an_order(payment={"token": "tok_real"}))

    assert (refused["error"]["code"], refused["error"]["field"]) == ("required", "payment")
    assert Order.objects.get(pk=taken["orderId"]).payment_token == "tok_real"
