"""The payment provider's rules, asked over HTTP."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from sandbox.process import SandboxProcess
from tests.sandbox.client import Customer, error_code


@pytest.fixture
def customer(sandbox: SandboxProcess) -> Customer:
    return Customer(sandbox.url)


def test_it_holds_takes_and_returns_money(sandbox, customer):
    held = customer.authorize("20.00").json()
    taken = customer.capture(held["id"], "20.00").json()
    returned = customer.refund(taken["id"], "5.00").json()

    assert [held["kind"], taken["kind"], returned["kind"]] == ["authorize", "capture", "refund"]
    assert sandbox.ledger()[customer.reference] == {
        "reference": customer.reference,
        "currency": "USD",
        "authorized": "20.00",
        "captured": "20.00",
        "refunded": "5.00",
        "voided": "0.00",
        "captures": 1,
    }


def test_it_lets_go_of_held_money(sandbox, customer):
    held = customer.authorize("20.00").json()

    assert customer.void(held["id"]).json()["amount"] == "20.00"
    assert sandbox.ledger()[customer.reference]["voided"] == "20.00"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("tok_declined", "card_declined"),
        ("tok_insufficient_funds", "insufficient_funds"),
        ("tok_expired", "expired_card"),
    ],
)
def test_it_declines_the_cards_that_say_so_and_writes_it_down(sandbox, customer, token, code):
    answer = customer.authorize(token=token, key=f"{customer.reference}:authorize")

    assert (answer.status_code, error_code(answer)) == (402, code)
    assert customer.find(f"{customer.reference}:authorize").json()["status"] == "declined"
    assert customer.reference not in sandbox.ledger()


@pytest.mark.parametrize("token", ["tok_visa", "tok_declined"])
def test_it_answers_a_repeat_as_the_first_time(customer, token):
    first = customer.authorize(token=token, key=f"{customer.reference}:1")
    again = customer.authorize(token=token, key=f"{customer.reference}:1")

    assert (again.status_code, again.content) == (first.status_code, first.content)


def test_it_refuses_another_body_under_the_same_key(customer):
    customer.authorize("20.00", key=f"{customer.reference}:1")
    other = customer.authorize("20.01", key=f"{customer.reference}:1")

    assert (other.status_code, error_code(other)) == (422, "idempotency_conflict")


def test_it_refuses_a_key_that_did_something_else(customer):
    held = customer.authorize(key=f"{customer.reference}:1").json()
    other = customer.void(held["id"], key=f"{customer.reference}:1")

    assert (other.status_code, error_code(other)) == (422, "idempotency_conflict")


def test_it_does_one_of_many_simultaneous_repeats(sandbox, customer):
    held = customer.authorize().json()
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda _: customer.capture(held["id"], key=f"{customer.reference}:2"), range(32))
        )

    assert len({answer.content for answer in answers}) == 1
    assert sandbox.ledger()[customer.reference]["captures"] == 1


def test_it_refuses_what_is_not_possible_any_more(customer):
    voided = customer.authorize().json()["id"]
    customer.void(voided)
    held = customer.authorize().json()["id"]
    taken = customer.capture(held, "20.00").json()["id"]

    refusals = [
        customer.capture(voided),
        customer.void(voided),
        customer.capture(held),
        customer.void(held),
        customer.refund(taken, "20.01"),
    ]
    customer.refund(taken, "20.00")
    refusals.append(customer.refund(taken, "0.01"))

    assert {refusal.status_code for refusal in refusals} == {409}
    assert [error_code(refusal) for refusal in refusals] == [
        "authorization_voided",
        "already_voided",
        "already_captured",
        "already_captured",
        "refund_exceeds_capture",
        "already_refunded",
    ]


def test_it_captures_neither_more_than_is_held_nor_for_another_reference(sandbox, customer):
    held = customer.authorize("20.00").json()["id"]
    stranger = Customer(sandbox.url)

    assert error_code(customer.capture(held, "20.01")) == "capture_exceeds_authorization"
    assert error_code(stranger.capture(held, "20.00")) == "reference_mismatch"
    assert error_code(customer.capture("auth_unheard_of")) == "authorization_not_found"


def test_it_says_when_it_never_saw_a_key(customer):
    answer = customer.find(f"{customer.reference}:never")

    assert (answer.status_code, error_code(answer)) == (404, "not_found")


def test_it_lists_the_operations_of_a_reference_in_order(customer):
    held = customer.authorize().json()["id"]
    customer.void(held)
    listed = requests.get(f"{customer.payments}/operations?reference={customer.reference}", timeout=5).json()

    assert [item["kind"] for item in listed["items"]] == ["authorize", "void"]
    assert listed["items"][1]["authorization"] == held


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, None),
        ({"reference": "", "amount": "1.00", "currency": "USD", "token": "t"}, 422, "reference"),
        ({"reference": "r", "amount": 1.0, "currency": "USD", "token": "t"}, 422, "amount"),
        ({"reference": "r", "amount": "1.001", "currency": "USD", "token": "t"}, 422, "amount"),
        ({"reference": "r", "amount": "-1.00", "currency": "USD", "token": "t"}, 422, "amount"),
        ({"reference": "r", "amount": "0.00", "currency": "USD", "token": "t"}, 422, "amount"),
        ({"reference": "r", "amount": "1.00", "currency": "usd", "token": "t"}, 422, "currency"),
    ],
)
def test_it_refuses_nonsense_and_names_the_field(customer, body, status, field):
    answer = customer.post("/authorizations", **body)

    assert (answer.status_code, answer.json()["error"].get("field")) == (status, field)


def test_it_wants_json_and_a_key(customer):
    url, key = f"{customer.payments}/authorizations", {"Idempotency-Key": "k"}
    body = {"reference": "r", "amount": "1.00", "currency": "USD", "token": "t"}

    assert error_code(requests.post(url, data=b"{", headers=key, timeout=5)) == "malformed_json"
    assert error_code(requests.post(url, json=body, timeout=5)) == "idempotency_key_required"


def test_it_helps_those_who_are_lost(customer):
    index = requests.get(customer.payments.removesuffix("/payments"), timeout=5).json()

    assert "POST /payments/authorizations" in index["endpoints"]
    assert "GET / lists" in requests.get(f"{customer.payments}/nothing", timeout=5).json()["error"]["message"]
    assert error_code(requests.get(f"{customer.payments}/voids", timeout=5)) == "method_not_allowed"
