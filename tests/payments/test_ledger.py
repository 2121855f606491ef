"""The ledger's rows, by its own functions."""

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
