"""How long a call may still arrive, when the clock was ahead as it was made."""

from datetime import timedelta

import pytest

from payments import ledger, returns
from payments.gateways.protocol import Outcome
from payments.models import Transaction
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_transaction

pytestmark = [pytest.mark.django_db(transaction=True)]


def look_up(entry: Transaction) -> Outcome:
    ((_, outcome),) = returns._find_all([entry], now=database_now())
    return outcome


def test_a_call_noted_by_a_clock_that_was_ahead_gets_its_grace_from_now_on(settings):
    settings.PAYMENT_GATEWAY = "in_process"  # which has never seen the call
    order = make_order((make_product(), 1))
    now = database_now()
    entry = make_transaction(order, "authorize", state="unknown", asked_at=now + timedelta(days=3))
    assert look_up(entry).kind == "unknown"

    entry.refresh_from_db()
    assert now <= entry.asked_at <= database_now()
    Transaction.objects.update(asked_at=now - ledger.arrival_grace())
    entry.refresh_from_db()
    assert look_up(entry).code == ledger.NEVER_ARRIVED
