"""The ledger's rows, by its own functions."""

from datetime import timedelta
from decimal import Decimal

import pytest

from payments import ledger
from payments.calls import FIRST, Request
from payments.gateways.protocol import Outcome
from payments.ledger import Kind
from payments.models import Transaction
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db


def test_a_long_code_and_message_of_a_provider_are_cut_to_what_a_row_holds() -> None:
    order = make_order((make_product(), 1))
    entry = make_transaction(order, "authorize", state="unknown")
    long = Outcome("succeeded", code="c" * 50, message="m" * 300)
    assert ledger.record(Kind.AUTHORIZE, {order.order_id: long}) == {order.order_id}
    entry.refresh_from_db()
    assert ledger.reverse(entry, long) is not None
    assert set(Transaction.objects.values_list("code", "message")) == {("c" * 40, "m" * 200)}


def test_captures_that_may_have_arrived_are_not_refused() -> None:
    product = make_product()
    states = [
        ("unknown", ""),
        ("succeeded", ""),
        ("declined", ledger.NEVER_ARRIVED),
        ("declined", "card_declined"),
    ]
    orders = [make_order((product, 1)) for _ in states]
    for order, (state, code) in zip(orders, states, strict=True):
        make_transaction(order, "capture", state=state, code=code)
        make_transaction(order, "authorize", state="succeeded")
    found = ledger.not_refused(Kind.CAPTURE, [order.order_id for order in orders])
    assert {(entry.kind, entry.order_id) for entry in found} == {("capture", o.order_id) for o in orders[:3]}


def test_a_call_that_the_provider_has_begun_is_sent_again_once_and_not_looked_up() -> None:
    order = make_order((make_product(), 1))
    call = Request(order.order_id, str(order.uuid), Decimal(15), "USD", number=FIRST[Kind.AUTHORIZE])
    for is_new in (True, False):
        (repeated,) = ledger.prepare(Kind.AUTHORIZE, ledger.listed([call]))
        assert repeated.is_new is is_new
    begun = [(repeated, Outcome("begun", provider_id="pi_1"))]
    (continued,) = ledger.begin(begun)
    assert (continued.is_new, continued.provider_id) == (True, "pi_1")
    entry = Transaction.objects.get()
    assert (entry.state, entry.code, entry.provider_id) == ("unknown", "begun", "pi_1")
    assert ledger.begin(begun) == []


def test_only_new_calls_that_were_not_sent_are_deleted() -> None:
    product = make_product()
    orders = [make_order((product, 1)) for _ in range(3)]
    calls = [
        Request(o.order_id, str(o.uuid), Decimal(15), "USD", number=FIRST[Kind.AUTHORIZE]) for o in orders
    ]
    ledger.prepare(Kind.AUTHORIZE, ledger.listed(calls[:1]))  # another worker set out to send the first
    prepared = ledger.prepare(Kind.AUTHORIZE, ledger.listed(calls))
    first, second, third = (order.order_id for order in orders)
    unknown = Outcome("unknown", code="no_answer")
    outcomes = {first: ledger.NO_CAPACITY, second: ledger.NO_CAPACITY, third: unknown}
    ledger.conclude(Kind.AUTHORIZE, outcomes, prepared=prepared)
    assert set(Transaction.objects.values_list("order_id", flat=True)) == {first, third}


def test_a_call_may_still_arrive_while_its_tries_last_and_a_start_may_be_late(settings) -> None:
    settings.EXTERNAL_TIMEOUT_SECONDS, settings.EXTERNAL_RETRY_ATTEMPTS = 10.0, 3
    assert ledger.arrival_grace() == timedelta(seconds=30 + ledger.LONGEST_START)


def test_what_the_customer_had_to_do_is_over_once_the_payment_is_decided() -> None:
    action = {"type": "redirect", "url": "https://bank.example/confirm"}
    order = make_order((make_product(), 1))
    entry = make_transaction(order, "authorize", state="unknown", action=action)
    assert ledger.next_action([entry]) == action
    entry.state = "succeeded"
    assert ledger.next_action([entry]) is None
