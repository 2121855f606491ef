"""Money that arrives after its order was rejected or cancelled goes back by itself."""

import json
import time
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError

import pytest
from django.test import Client

import faults
from orders.maintenance import audit
from orders.models import Journey
from orders.placing.single import Placed
from orders.status import Status
from payments.gateways import gateway
from payments.models import Transaction
from runtime import signatures
from scheduling.slots import database_now
from tests.factories import make_shipping
from tests.fixtures.pipeline import make_everything_due, ordered, work_off
from tests.fixtures.stripe import HTTP_SECRET, SECRET

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_sandbox")]


@pytest.fixture(autouse=True)
def shop(settings: Any, stripe_sandbox: Any) -> Any:
    make_shipping()
    settings.PAYMENT_GATEWAY = "stripe"
    yield
    assert [str(v) for v in audit.run().violations if "no order" not in v.details] == []


def journey(order: Placed) -> Journey:
    return Journey.objects.get(order_id=order.order_id)


def row(order: Placed, kind: str = "authorize") -> Transaction:
    return Transaction.objects.get(order_id=order.order_id, kind=kind)


def net(order: Placed) -> Any:
    """What the provider holds or keeps of an order."""
    lines = [line for line in gateway().ledger() if line.reference == str(order.uuid)]
    return sum(line.authorized - line.voided - line.refunded for line in lines)


def decide(sandbox: Any, order: Placed, to: str) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.call("POST", f"/stripe/control/{row(order).provider_id}", {"to": to})
    return found


def from_stripe(event_type: str, found: dict[str, Any]) -> str:
    event = {"id": f"evt_{event_type}_{time.monotonic_ns()}", "type": event_type, "data": {"object": found}}
    return _send("/stripe", "Stripe-Signature", SECRET, event)


def _send(place: str, header: str, secret: str, event: dict[str, Any]) -> str:
    body, now = json.dumps(event).encode(), str(int(time.time()))
    headers = {header: f"t={now},v1={signatures.digest(secret, timestamp=now, body=body)}"}
    address = f"/api/payments/webhook{place}"
    answer = Client().post(address, body, content_type="application/json", headers=headers)
    return str(answer.json()["status"])


def time_to_pay_is_over(order: Placed) -> None:
    entry = row(order)
    past = {"payBy": (database_now() - timedelta(seconds=1)).isoformat()}
    Transaction.objects.filter(pk=entry.pk).update(action=(entry.action or {}) | past)
    make_everything_due()


def test_one_that_the_customer_confirms_after_a_failure_had_rejected_the_order_is_voided(stripe_sandbox):
    order = ordered("pm_card_authenticationRequired")
    failed = decide(stripe_sandbox, order, "failed")
    assert from_stripe("payment_intent.payment_failed", failed) == "applied"
    work_off()
    assert journey(order).status == Status.REJECTED

    paid = decide(stripe_sandbox, order, "succeeded")
    assert net(order) == 15
    assert from_stripe("payment_intent.amount_capturable_updated", paid) == "applied"
    assert from_stripe("payment_intent.amount_capturable_updated", paid) == "nothing_new"
    work_off()
    assert (journey(order).status, journey(order).payment) == (Status.REJECTED, "voided")
    assert net(order) == 0


def test_without_webhooks_a_failed_confirmation_is_found_and_closed(stripe_sandbox):
    order = ordered("pm_card_authenticationRequired")
    decide(stripe_sandbox, order, "failed")
    make_everything_due()
    work_off()
    assert (journey(order).status, journey(order).reason) == (Status.REJECTED, "authentication_failed")
    with pytest.raises(HTTPError):
        decide(stripe_sandbox, order, "succeeded")
    assert net(order) == 0


def test_one_between_the_last_look_up_and_the_void_is_voided(stripe_sandbox, monkeypatch):
    order = ordered("pm_card_authenticationRequired")
    found: list[dict[str, Any]] = []

    def pay(place: str) -> None:
        if place == "return_money.before_intent_commit" and not found:
            found.append(decide(stripe_sandbox, order, "succeeded"))

    monkeypatch.setattr(faults, "point", pay)
    monkeypatch.setattr("payments.gateways.stripe.reading.ACTION_WINDOW", timedelta(hours=-1))
    time_to_pay_is_over(order)
    work_off()
    assert found
    assert (journey(order).status, journey(order).reason) == (Status.CANCELLED, "payment_not_completed")
    assert net(order) == 0
    # The news of it come last, and there is nothing left to do.
    assert from_stripe("payment_intent.amount_capturable_updated", found[0]) == "nothing_new"
    assert journey(order).status == Status.CANCELLED


def test_one_that_arrives_with_http_after_a_decline_is_voided(stripe_sandbox, settings):
    settings.PAYMENT_GATEWAY, settings.PAYMENT_GATEWAYS = "http", {"stripe": ""}
    stripe_sandbox.set_faults(
        "payments", timeoutAfterRate=1.0, timeoutSeconds=0, operations=["authorize", "lookup"]
    )
    order = ordered("tok_demo")
    stripe_sandbox.clear_faults()
    entry = row(order)
    arrived = gateway().find(key=entry.key)
    assert arrived is not None
    operation = {
        "id": arrived.provider_id,
        "kind": "authorize",
        "status": "declined",
        "reference": str(entry.reference),
        "key": entry.key,
        "amount": "15.00",
        "currency": "USD",
        "code": "card_declined",
    }
    said = {"id": f"evt_declined_{order.order_id}", "operation": operation}
    assert _send("", "Webhook-Signature", HTTP_SECRET, said) == "applied"
    work_off()
    assert journey(order).status == Status.REJECTED

    late = {"id": f"evt_late_{order.order_id}", "operation": operation | {"status": "succeeded", "code": ""}}
    assert _send("", "Webhook-Signature", HTTP_SECRET, late) == "applied"
    work_off()
    assert (journey(order).status, journey(order).payment) == (Status.REJECTED, "voided")
    assert net(order) == 0
