"""Orders paid through Stripe: the customer's confirmation, lost answers and cancellations in between."""

import json
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from django.test import Client
from rest_framework.test import APIClient

from orders import commands, journal
from orders.maintenance import archive, audit
from orders.models import ArchivedOrder, Journey, Order
from orders.operators import money_at_risk
from orders.placing.single import Placed
from orders.refunding import parts
from orders.refunding.amounts import Wish
from orders.status import Status
from payments.gateways import gateway
from payments.models import Transaction
from runtime import signatures
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_user
from tests.fixtures.pipeline import make_everything_due, ordered, work_off
from tests.fixtures.stripe import HEADERS, SECRET
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_sandbox")]

NEEDS_CUSTOMER = "pm_card_authenticationRequired"


@pytest.fixture(autouse=True)
def stripe_is_the_default(settings, stripe_sandbox):
    make_shipping()
    settings.PAYMENT_GATEWAY = "stripe"


def journey(order: Placed) -> Journey:
    return Journey.objects.get(order_id=order.order_id)


def authorization(order: Placed) -> Transaction:
    return Transaction.objects.get(order_id=order.order_id, kind="authorize")


def has_been_settled(order: Placed) -> bool:
    """Work off what is due, and what waits for its time. After errors the provider gets few calls at once."""
    make_everything_due()
    work_off()
    return journey(order).status not in (Status.PROCESSING, Status.CANCELLING)


def money(order: Placed) -> tuple[Any, ...]:
    """What Stripe holds, has captured and has refunded; nothing without a line."""
    for line in gateway().ledger():
        if line.reference == str(order.uuid):
            return (line.authorized - line.captured - line.voided, line.captured, line.refunded)
    return (0, 0, 0)


def webhook(event_type: str, found: dict[str, Any]) -> int:
    body = json.dumps({"id": f"evt_{event_type}", "type": event_type, "data": {"object": found}}).encode()
    now = str(int(time.time()))
    signed = f"t={now},v1={signatures.digest(SECRET, timestamp=now, body=body)}"
    headers = {"Stripe-Signature": signed}
    address = "/api/payments/webhook/stripe"
    return Client().post(address, body, content_type="application/json", headers=headers).status_code


def test_a_call_that_is_begun_is_sent_again_in_the_same_step(settings):
    """Steps wait for calls where the default gateway makes none, as here; other gateways' may need two."""
    settings.PAYMENT_GATEWAY, settings.PAYMENT_GATEWAYS = "in_process", {"stripe": ""}
    order = make_order((make_product(units=5), 1), token="pm_card_visa")
    Order.objects.filter(pk=order.order_id).update(payment_gateway="stripe")
    work_off()
    assert journey(order).status == Status.CONFIRMED
    assert "order_waiting" not in [event.type for event in journal.events_of(order.order_id)]


def test_an_intent_is_left_for_the_ledger_to_note_before_it_is_confirmed(settings):
    settings.PROVIDER_HANDOVER = False
    how = {"key": "k:authorize", "reference": "00000000-0000-4000-8000-000000000001", "token": "pm_card_visa"}
    outcome = gateway("stripe").authorize(**how, amount=Decimal("5.00"), currency="USD")
    assert (outcome.kind, outcome.provider_id[:3]) == ("begun", "pi_")

    order = ordered("pm_card_visa")

    assert journey(order).status == Status.CONFIRMED


def test_a_card_confirms_the_order_and_a_cancellation_refunds_it():
    order = ordered("pm_card_visa")
    assert journey(order).status == Status.CONFIRMED
    total = authorization(order).amount
    assert money(order) == (0, total, 0)

    commands.cancel_order(order_id=order.order_id, reason="Changed my mind")
    work_off()

    assert journey(order).status == Status.CANCELLED
    assert money(order) == (0, total, total)


def test_a_declined_card_rejects_the_order_with_the_banks_reason():
    order = ordered("pm_card_chargeDeclinedInsufficientFunds")

    assert (journey(order).status, journey(order).reason) == (Status.REJECTED, "insufficient_funds")


def test_an_order_that_the_customer_has_to_confirm_waits_and_goes_on_with_the_webhook(stripe_sandbox):
    order = ordered(NEEDS_CUSTOMER)
    waiting = authorization(order)
    assert (waiting.state, waiting.code) == ("unknown", "action_required")
    assert waiting.action is not None
    assert waiting.action["url"].startswith("https://")
    assert {"clientSecret", "payBy"} < set(waiting.action)
    assert (journey(order).status, journey(order).batch_id) == (Status.PROCESSING, None)

    found = stripe_sandbox.call("POST", f"/stripe/control/{waiting.provider_id}", {"to": "succeeded"})
    assert webhook("payment_intent.amount_capturable_updated", found) == 200
    work_off()

    assert journey(order).status == Status.CONFIRMED


def test_without_webhooks_the_confirmation_is_found_by_looking(stripe_sandbox):
    order = ordered(NEEDS_CUSTOMER)
    make_everything_due()
    work_off()
    assert journey(order).status == Status.PROCESSING
    assert not journey(order).attention

    stripe_sandbox.call("POST", f"/stripe/control/{authorization(order).provider_id}", {"to": "succeeded"})
    make_everything_due()
    work_off()

    assert journey(order).status == Status.CONFIRMED


def test_an_order_cancelled_before_the_confirmation_can_never_be_paid(stripe_sandbox):
    order = ordered(NEEDS_CUSTOMER)
    commands.cancel_order(order_id=order.order_id, reason="Took too long")
    work_off()

    assert journey(order).status == Status.CANCELLED
    address = f"{stripe_sandbox.url}/stripe/v1/payment_intents/{authorization(order).provider_id}"
    assert requests.get(address, headers=HEADERS, timeout=5).json()["status"] == "canceled"
    assert authorization(order).state == "declined"


@pytest.mark.parametrize("operation", ["create", "confirm"])
def test_an_order_cancelled_after_a_lost_answer_keeps_no_money(stripe_sandbox, operation):
    stripe_sandbox.set_faults("stripe", operations=[operation, "lookup"], status500AfterRate=1)
    order = ordered("pm_card_visa")
    stripe_sandbox.clear_faults()
    commands.cancel_order(order_id=order.order_id, reason="Took too long")
    until(lambda: has_been_settled(order))

    assert journey(order).status == Status.CANCELLED
    assert money(order)[0] == 0


@pytest.mark.parametrize("operation", ["create", "confirm", "capture"])
def test_an_order_goes_on_after_a_lost_answer_and_is_charged_once(stripe_sandbox, operation):
    stripe_sandbox.set_faults("stripe", operations=[operation, "lookup"], status500AfterRate=1)
    order = ordered("pm_card_visa")
    stripe_sandbox.clear_faults()
    until(lambda: has_been_settled(order))

    assert journey(order).status == Status.CONFIRMED
    assert money(order) == (0, authorization(order).amount, 0)


def test_a_token_of_another_provider_is_refused_with_its_field(settings):
    client = APIClient()
    client.force_authenticate(make_user())
    body = {
        "customerName": "Alice",
        "items": [{"sku": make_product().sku, "quantity": 1}],
        "payment": {"token": "tok_demo"},
    }
    refused = client.post("/api/orders", body, format="json")
    assert refused.status_code == 400
    assert refused.json()["error"]["field"] == "payment.token"


def dispute(order: Placed, status: str, *, event: str = "updated", intent: str = "") -> int:
    """Report a dispute as Stripe does: it names the intent, and knows nothing of the order."""
    intent = intent or Transaction.objects.get(order_id=order.order_id, kind="capture").provider_id
    found = {
        "id": "dp_1",
        "payment_intent": intent,
        "status": status,
        "reason": "fraudulent",
        "amount": 1500,
        "currency": "usd",
        "metadata": {},
    }
    return webhook(f"charge.dispute.{event}", found)


def archive_all() -> None:
    commands.complete_orders(order_ids=list(Order.objects.values_list("pk", flat=True)))
    assert list(archive.move(before=database_now() + timedelta(seconds=1)))


def at_risk() -> list[tuple[str, Decimal]]:
    return [(risk.cause, risk.amount) for risk in money_at_risk.at_risk()]


@pytest.mark.parametrize("first", ["created", "closed"])
def test_a_dispute_marks_the_order_and_is_money_at_risk_until_it_is_won(first):
    order = ordered("pm_card_visa")
    if first == "created":
        assert dispute(order, "needs_response", event="created") == 200
        assert journey(order).attention.startswith("disputed by the customer: ")
        assert at_risk() == [("Disputed by the customer.", Decimal(15))]
        assert [str(violation) for violation in audit.run().violations] == []
    assert dispute(order, "won", event="closed") == 200
    assert dispute(order, "needs_response", event="updated") == 200

    assert (journey(order).status, journey(order).attention) == (Status.CONFIRMED, "")
    assert at_risk() == []
    assert Transaction.objects.get(kind="dispute").state == "declined"
    assert [str(violation) for violation in audit.run().violations] == []


def test_a_dispute_that_is_lost_stays_until_an_operator_has_seen_it():
    order = ordered("pm_card_visa")
    dispute(order, "lost", event="closed")
    assert "and lost" in journey(order).attention
    assert len(at_risk()) == 1
    commands.retry_order(order_id=order.order_id)
    assert at_risk() == []
    assert journey(order).status == Status.CONFIRMED


def failed_refund(order: Placed, refund_id: str, key: str) -> dict[str, Any]:
    return {
        "id": refund_id,
        "status": "failed",
        "failure_reason": "expired_or_canceled_card",
        "amount": 400,
        "currency": "usd",
        "metadata": {"key": key, "reference": str(order.uuid)},
    }


def test_a_refund_that_stripe_reports_as_failed_after_it_succeeded_is_made_again():
    order = ordered("pm_card_visa")
    parts.refund_part(order_id=order.order_id, wish=Wish(amount=Decimal("4.00")))
    work_off()
    refund = Transaction.objects.get(kind="refund")
    assert webhook("refund.failed", failed_refund(order, refund.provider_id, refund.key)) == 200
    work_off()

    kinds = Transaction.objects.filter(kind__in=["refund", "reversal"]).order_by("started_at")
    assert [row.kind for row in kinds] == ["refund", "reversal", "refund"]


def test_a_dispute_restores_an_archived_order_also_if_its_end_comes_first():
    order = ordered("pm_card_visa")
    intent = Transaction.objects.get(kind="capture").provider_id
    archive_all()
    for status, event, attention in (("won", "closed", ""), ("needs_response", "updated", "")):
        assert dispute(order, status, event=event, intent=intent) == 200
        assert journey(order).attention == attention
    archive_all()
    assert dispute(order, "needs_response", event="created", intent=intent) == 200
    assert not Order.objects.exists(), "it was decided before"


def test_a_refund_that_fails_once_its_order_is_archived_restores_it_and_is_made_again():
    order = ordered("pm_card_visa")
    parts.refund_part(order_id=order.order_id, wish=Wish(amount=Decimal("4.00")))
    work_off()
    archive_all()
    (row,) = [r for r in ArchivedOrder.objects.get().document["transactions"] if r["kind"] == "refund"]
    assert webhook("refund.failed", failed_refund(order, row["provider_id"], row["key"])) == 200
    work_off()
    assert journey(order).status == Status.COMPLETED
    kinds = Transaction.objects.filter(kind__in=["refund", "reversal"]).order_by("started_at")
    assert [row.kind for row in kinds] == ["refund", "reversal", "refund"]
