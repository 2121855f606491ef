"""Orders paid by invoice, transfer or on delivery: staff record what arrives, and pay back by hand."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from orders import commands
from orders.maintenance import archive, audit
from orders.models import Journey
from orders.operators.explain import explain
from orders.operators.money_at_risk import at_risk
from orders.queries import any_by_reference
from orders.status import Status
from payments.gateways import gateway
from payments.models import ManualEntry, Transaction
from scheduling.slots import database_now
from tests.factories import make_product, make_shipping, make_user
from tests.fixtures.pipeline import make_everything_due, work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def shop(settings):
    make_shipping()
    settings.PAYMENT_GATEWAY, settings.PAYMENT_GATEWAYS = "in_process", {"manual": ""}
    yield
    # The process's own provider has no memory: its ledger is not compared.
    assert [str(violation) for violation in audit.run(with_ledger=False).violations] == []


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def staff() -> APIClient:
    return client_of(User.objects.create_superuser("chief", password="a long password"))


def placed(gateway: str = "manual", *, price: str = "10.00") -> Any:
    payment = {"gateway": gateway}
    body = {
        "customerName": "Alice",
        "items": [{"sku": make_product(price=price).sku, "quantity": 1}],
        "payment": payment,
    }
    return client_of(make_user()).post("/api/orders", body, format="json")


@pytest.fixture
def order_id() -> int:
    answer = placed()
    assert answer.status_code == 201
    work_off()
    found: int = answer.json()["id"]
    return found


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def paid(
    client: APIClient, order_id: int, amount: object, reference: str = "transfer 1", **more: object
) -> Any:
    body = {"amount": amount, "reference": reference} | more
    return client.post(f"/api/orders/{order_id}/paid", body, format="json")


def test_it_waits_for_the_payment_with_its_stock_held_and_goes_on_when_all_has_arrived(staff, order_id):
    waiting = journey(order_id)
    assert (waiting.waiting_for, waiting.stock) == ("payment_bank", "reserved")
    assert "15.00" in explain(any_by_reference(str(order_id))).why

    assert paid(staff, order_id, 4.50).json() | {"currency": ""} == {
        "received": 4.5,
        "paidBack": 0,
        "missing": 10.5,
        "surplus": 0,
        "currency": "",
    }
    work_off()
    assert journey(order_id).status == Status.PROCESSING
    assert "10.50" in explain(any_by_reference(str(order_id))).why

    assert paid(staff, order_id, 10.50, "transfer 2").status_code == 200
    work_off()
    assert (journey(order_id).status, journey(order_id).attention) == (Status.CONFIRMED, "")
    assert Transaction.objects.get(kind="capture").gateway == "manual"
    assert LogEntry.objects.filter(object_id=str(order_id), change_message__contains="by hand").count() == 2


def test_a_reference_counts_once_and_never_for_another_amount(staff, order_id):
    for _ in range(2):
        assert paid(staff, order_id, 4.50).json()["received"] == 4.5
    refused = paid(staff, order_id, 5.00)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert ManualEntry.objects.filter(kind="received").count() == 1


def test_what_arrives_beyond_the_total_is_the_customers_until_it_is_paid_back(staff, order_id):
    assert paid(staff, order_id, 16.00).json()["surplus"] == 1
    work_off()
    assert journey(order_id).status == Status.CONFIRMED
    commands.complete_orders(order_ids=[order_id])
    assert "1.00 USD too much arrived" in journey(order_id).attention
    assert [(risk.kind, risk.amount) for risk in at_risk()] == [("surplus", Decimal(1))]

    refused = paid(staff, order_id, 1.01, "back 1", paidBack=True)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "more_than_left")
    assert paid(staff, order_id, 2.00, "transfer 2").json()["surplus"] == 3
    assert "3.00 USD too much arrived" in journey(order_id).attention
    for _ in range(2):
        assert paid(staff, order_id, 3.00, "back 1", paidBack=True).json()["surplus"] == 0
    assert journey(order_id).attention == ""
    assert at_risk() == []
    assert LogEntry.objects.filter(change_message__contains="Paid back 3.00").count() == 1


def test_the_audit_finds_a_surplus_that_was_only_waved_through(staff, order_id):
    paid(staff, order_id, 16.00)
    work_off()
    commands.retry_order(order_id=order_id)
    assert journey(order_id).attention == ""
    (found,) = audit.run(with_ledger=False).violations
    assert "and 1.00 is too much" in found.details
    audit.escalate_violations(audit.run(with_ledger=False))
    assert paid(staff, order_id, 1.00, "back 1", paidBack=True).json()["surplus"] == 0
    assert journey(order_id).attention == ""


def test_a_cancelled_order_that_was_overpaid_keeps_nothing(staff, order_id):
    paid(staff, order_id, 16.00)
    work_off()
    commands.cancel_order(order_id=order_id, reason="Changed my mind")
    work_off()
    assert paid(staff, order_id, 1.00, "back 1", paidBack=True).json()["surplus"] == 0
    commands.retry_order(order_id=order_id)
    work_off()
    assert (journey(order_id).status, journey(order_id).attention) == (Status.CANCELLED, "")


def test_it_is_cancelled_when_the_time_to_pay_is_over_and_what_comes_later_is_escalated(
    staff, order_id, settings
):
    settings.MANUAL_PAYMENT_DAYS = 0
    make_everything_due()
    work_off()
    assert (journey(order_id).status, journey(order_id).reason) == (Status.CANCELLED, "payment_not_completed")
    assert journey(order_id).stock == "released"

    assert paid(staff, order_id, 15.00).json() | {"currency": ""} == {
        "received": 15,
        "paidBack": 0,
        "missing": 0,
        "surplus": 15,
        "currency": "",
    }
    assert "pay it back by hand" in journey(order_id).attention
    (line,) = gateway("manual").ledger()
    assert line.authorized == line.voided == 15
    assert not line.captured
    paid(staff, order_id, 15.00, "back 1", paidBack=True)
    assert journey(order_id).attention == ""


def test_a_cancellation_has_staff_pay_back_and_ends_once_they_have(staff, order_id):
    paid(staff, order_id, 15.00)
    work_off()
    commands.cancel_order(order_id=order_id, reason="Changed my mind")
    work_off()
    assert journey(order_id).status == Status.CANCELLING
    assert "back by hand, then retry" in journey(order_id).attention
    commands.retry_order(order_id=order_id)
    work_off()
    assert (journey(order_id).status, journey(order_id).payment) == (Status.CANCELLED, "refunded")
    assert ManualEntry.objects.get(kind="refund").amount == Decimal("15.00")


def test_an_unknown_gateway_is_refused_and_so_is_a_payment_for_an_order_of_another(staff):
    refused = placed("bitcoin")
    assert refused.status_code == 400
    assert (refused.json()["error"]["code"], refused.json()["error"]["field"]) == (
        "unknown_gateway",
        "payment.gateway",
    )
    other = placed("in_process").json()["id"]
    assert paid(staff, other, 15.00).status_code == 409
    assert paid(client_of(make_user()), other, 15.00).status_code in (403, 404)


def test_a_transfer_for_an_archived_order_restores_it(staff, order_id):
    commands.cancel_order(order_id=order_id, reason="Took too long")
    work_off()
    assert list(archive.move(before=database_now() + timedelta(seconds=1)))
    assert paid(staff, order_id, 15.00).json()["surplus"] == 15
    assert "pay it back by hand" in journey(order_id).attention
