"""Requests that are repeated under their Idempotency-Key: done once, answered the same."""

import json
import threading

import pytest
import requests
from django.db import connection, transaction
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from api.models import IdempotencyKey
from orders.models import Order, OrderEvent
from tests.factories import make_token
from tests.inventory.goods import at_once
from tests.orders.conftest import an_order, client_of

KEY = {"Idempotency-Key": "key-1"}


def test_a_repeat_gets_the_first_answer_and_places_nothing(as_alice):
    first = as_alice.post("/api/orders", an_order(), headers=KEY)
    again = as_alice.post("/api/orders", an_order(), headers=KEY)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert [first[name] for name in ("Location", "ETag")] == [again[name] for name in ("Location", "ETag")]
    assert ("Idempotency-Replayed" in first, again["Idempotency-Replayed"]) == (False, "true")
    assert Order.objects.count() == 1


def test_what_happened_meanwhile_does_not_change_the_answer(as_alice):
    first = as_alice.post("/api/orders", an_order(), headers=KEY)
    as_alice.post(f"{first['Location']}/cancel")

    assert as_alice.post("/api/orders", an_order(), headers=KEY).content == first.content


def test_the_same_order_in_other_words_is_the_same_request(as_alice):
    first = as_alice.post("/api/orders", an_order(), headers=KEY)
    spaced = json.dumps(dict(reversed(an_order().items())), indent=3)

    again = as_alice.post("/api/orders", spaced, content_type="application/json", headers=KEY)

    assert again.content == first.content


@pytest.mark.parametrize(
    "fields", [{"customerName": "Al"}, {"hold": True}, {"items": [{"productId": 1, "quantity": 3}]}]
)
def test_another_request_under_a_used_key_is_refused(as_alice, fields):
    as_alice.post("/api/orders", an_order(), headers=KEY)

    response = as_alice.post("/api/orders", an_order(**fields), headers=KEY)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "idempotency_key_reused")
    assert error["field"] == "Idempotency-Key"
    assert Order.objects.count() == 1


def test_a_key_belongs_to_its_user(as_alice, bob):
    as_alice.post("/api/orders", an_order(), headers=KEY)

    assert client_of(bob).post("/api/orders", an_order(), headers=KEY).status_code == 201
    assert Order.objects.count() == 2


def test_a_refused_request_leaves_its_key_free(as_alice):
    wrong = an_order(items=[{"productId": 1, "quantity": 1, "price": 1.00}])
    assert as_alice.post("/api/orders", wrong, headers=KEY).status_code == 409

    assert not IdempotencyKey.objects.exists()
    assert as_alice.post("/api/orders", an_order(), headers=KEY).status_code == 201


def test_a_number_beyond_all_bounds_is_refused_under_a_key_too(as_alice):
    body = json.dumps(an_order(items=[{"productId": 1, "quantity": 10**4000}]))

    assert as_alice.post("/api/orders", body, content_type="application/json", headers=KEY).status_code == 400


def test_a_repeated_command_is_done_once(as_alice, place):
    where = f"/api/orders/{place()['id']}/cancel?reason=Changed%20mind"

    first = as_alice.post(where, headers=KEY)
    again = as_alice.post(where, headers=KEY)

    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert OrderEvent.objects.filter(type="order_cancelled").count() == 1
    assert as_alice.post(where + "!", headers=KEY).status_code == 422


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "naïve", "a\tb"])
def test_it_refuses_what_is_no_key(as_alice, key):
    response = as_alice.post("/api/orders", an_order(), headers={"Idempotency-Key": key})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_idempotency_key")
    assert not Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_repeat_gives_up_when_the_first_takes_too_long(as_alice, alice):
    stored, done = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            IdempotencyKey.objects.create(
                owner_id=alice.pk, key="key-1", request_hash=b"", status_code=0, answer={}
            )
            stored.set()
            done.wait(30)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    stored.wait(30)
    response = as_alice.post("/api/orders", an_order(), headers=KEY)
    done.set()
    thread.join()

    assert (response.status_code, response.json()["error"]["code"]) == (409, "in_progress")
    assert int(response["Retry-After"]) >= 1
    assert not Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_fifty_repeats_at_once_place_one_order_and_get_one_answer(live_server, alice, unlimited):
    headers = KEY | {"Authorization": f"Token {make_token(alice)}"}

    def post() -> tuple[int, bytes]:
        # A connection may be refused in such a crowd; that the request may simply be sent again is the point.
        with requests.Session() as session:
            session.mount(
                "http://", HTTPAdapter(max_retries=Retry(10, backoff_factor=0.1, allowed_methods=None))
            )
            response = session.post(
                f"{live_server.url}/api/orders", json=an_order(), headers=headers, timeout=30
            )
        return response.status_code, response.content

    answers = at_once([post] * 50)

    assert Order.objects.count() == 1
    assert {status for status, _ in answers} == {201}
    assert len(set(answers)) == 1
