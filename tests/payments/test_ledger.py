"""The ledger's rows, by its own functions."""

import pytest

from payments import ledger
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
