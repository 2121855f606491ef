"""Webhooks of the payment provider: only genuine ones, each counted once, in any order."""

import json
import time
from typing import Any

import pytest
from django.test import Client

from orders import commands, journal
from orders.maintenance import audit
from orders.models import Journey, Order
from orders.status import Status
from payments import ledger, webhooks
from payments.gateways import gateway
from payments.models import Transaction, WebhookEvent, idempotency_key
from providers.breaker import breaker
from runtime import signatures
from sandbox.process import SandboxProcess
from telemetry import measures
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import make_everything_due, work_off
from tests.waiting import until

OLD, NEW = "an old secret of the provider", "a new secret of the provider"
ADDRESS = "/api/payments/webhook"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers")]


@pytest.fixture(autouse=True)
def two_secrets(settings):
    make_shipping()
    settings.PAYMENT_WEBHOOK_SECRETS = [OLD, NEW]
    settings.EXTERNAL_RETRY_ATTEMPTS = 1  # no retries in the background
    breaker("payments").reset()
    yield
    breaker("payments").reset()


def event(order_id: int, about: str, status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    """What the provider would say of an order's operation."""
    entry = Transaction.objects.get(order_id=order_id, kind=about)
    reference = str(entry.reference)
    operation = {
        "id": f"{about}-of-{order_id}",
        "kind": about,
        "status": status,
        "reference": reference,
        "key": idempotency_key(reference=reference, kind=about),
        "amount": f"{entry.amount:.2f}",
        "currency": entry.currency,
        "code": "" if status == "succeeded" else "card_declined",
    }
    return {"id": f"evt_{about}_{order_id}", "operation": operation | changes}


def send(body: Any, *, secret: str = NEW, age: float = 0, signature: str = "") -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    timestamp = str(int(time.time() - age))
    signed = f"t={timestamp},v1={signatures.digest(secret, timestamp=timestamp, body=raw)}"
    headers = {"Webhook-Signature": signature or signed}
    return Client().post(ADDRESS, raw, content_type="application/json", headers=headers)


def answer(response: Any) -> tuple[int, str]:
    body = response.json()
    return response.status_code, body.get("status") or body["error"]["code"]


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def order_whose_charge_is_unknown(providers: SandboxProcess) -> int:
    order = make_order((make_product(units=5), 1))
    providers.set_faults(
        "payments", timeoutAfterRate=1.0, timeoutSeconds=0, operations=["authorize", "lookup"]
    )
    work_off()
    assert journey(order.order_id).waiting_for
    providers.clear_faults()
    return order.order_id


def provider_id(order_id: int) -> str:
    """The id under which the sandbox filed the authorization whose answer was lost."""

    found = gateway().find(key=Transaction.objects.get(order_id=order_id, kind="authorize").key)
    assert found is not None
    return found.provider_id


def test_a_webhook_settles_what_nobody_answered_and_the_order_goes_on_at_once(
    providers: SandboxProcess,
) -> None:
    order_id = order_whose_charge_is_unknown(providers)
    assert answer(send(event(order_id, "authorize", id=provider_id(order_id)))) == (200, "applied")
    work_off()  # due without waiting for its time
    assert journey(order_id).status == Status.CONFIRMED


def test_a_declined_one_rejects_the_order(providers: SandboxProcess) -> None:
    order = make_order((make_product(units=5), 1))
    providers.set_faults(
        "payments", timeoutBeforeRate=1.0, timeoutSeconds=0, operations=["authorize", "lookup"]
    )
    work_off()
    providers.clear_faults()
    assert answer(send(event(order.order_id, "authorize", "declined"))) == (200, "applied")
    work_off()
    assert journey(order.order_id).status == Status.REJECTED


def test_duplicates_repeats_and_late_ones_change_nothing_twice(providers: SandboxProcess) -> None:
    order_id = order_whose_charge_is_unknown(providers)
    said = event(order_id, "authorize", id=provider_id(order_id))
    assert answer(send(said)) == (200, "applied")
    work_off()
    before = [e.type for e in journal.events_of(order_id)]
    assert answer(send(said)) == (200, "duplicate")
    assert answer(send(said | {"id": "evt_another"})) == (200, "nothing_new")
    assert answer(send(event(order_id, "capture"))) == (200, "nothing_new")
    assert answer(send(event(order_id, "authorize", "declined") | {"id": "evt_third"})) == (
        200,
        "nothing_new",
    )
    assert [e.type for e in journal.events_of(order_id)] == before
    assert WebhookEvent.objects.count() == 4


def test_a_success_after_the_end_gives_itself_back(providers: SandboxProcess, settings) -> None:
    order_id = order_whose_charge_is_unknown(providers)
    held = provider_id(order_id)
    commands.cancel_order(order_id=order_id, reason="Took too long")
    # As if the provider had not seen it within any patience, and the order was closed without it.
    Transaction.objects.filter(order_id=order_id).update(
        state="declined", code=ledger.NEVER_ARRIVED, provider_id=""
    )
    work_off()
    assert journey(order_id).status == Status.CANCELLED
    assert answer(send(event(order_id, "authorize", id=held))) == (200, "applied")
    assert journey(order_id).status == Status.CANCELLING
    work_off()
    assert journey(order_id).status == Status.CANCELLED
    assert audit.run().violations == [] or not any(
        str(order_id) == violation.subject for violation in audit.run().violations
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "1.00"},
        {"currency": "EUR"},
        {"key": "another:authorize"},
        {"status": "pending"},
        {"kind": "gift"},
    ],
)
def test_one_that_does_not_fit_our_books_changes_nothing(
    changes: dict[str, str], providers: SandboxProcess
) -> None:
    order_id = order_whose_charge_is_unknown(providers)
    assert answer(send(event(order_id, "authorize", **changes))) == (200, "nothing_new")
    assert Transaction.objects.get(order_id=order_id).state == "unknown"


def test_one_about_no_order_of_ours_is_taken_and_forgotten() -> None:
    order = make_order((make_product(), 1))
    work_off()
    stranger = event(order.order_id, "capture", reference="00000000-0000-0000-0000-000000000000")
    assert answer(send(stranger)) == (200, "nothing_new")


def test_both_secrets_are_good_while_one_replaces_the_other() -> None:
    order = make_order((make_product(), 1))
    work_off()
    assert answer(send(event(order.order_id, "capture"), secret=OLD)) == (200, "nothing_new")
    assert answer(send(event(order.order_id, "authorize"), secret=NEW)) == (200, "nothing_new")


@pytest.mark.parametrize(
    "how",
    [
        {"secret": "nobody's secret"},
        {"age": 301},
        {"age": -301},
        {"signature": "t=1,v1=00"},
        {"signature": "v1=00"},
        {"signature": "t=soon,v1=00"},
        {"signature": "nonsense"},
        {"signature": "t=1,t=2,v1=00"},
        {"signature": "t=99999999999999999999999999,v1=ä"},
    ],
)
def test_it_refuses_what_is_not_signed_or_too_old(how: dict[str, Any]) -> None:
    assert answer(send({"id": "evt_1"}, **how)) == (403, "invalid_signature")
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"id": "evt_1", "operation": 7}',
        b"\xff",
        b"[" * 5000,
        b'{"id": ' + b"9" * 5000 + b"}",
    ],
)
def test_it_refuses_what_cannot_be_read(body: bytes) -> None:
    assert answer(send(body)) == (400, "malformed_event")


@pytest.mark.parametrize("field", ["id", "key", "reference", "kind", "status", "amount", "currency"])
@pytest.mark.parametrize(
    "value", ["a\0b", "\ud800", "\u2028", "x" * 5000, 10**30, None, [], {}, True, 1e300], ids=repr
)
def test_it_refuses_what_its_parts_cannot_be(field: str, value: Any) -> None:
    order = make_order((make_product(), 1))
    work_off()
    said = event(order.order_id, "capture", **{field: value})
    assert answer(send(said)) == (400, "malformed_event")
    assert answer(send(said | {"operation": said["operation"] | {field: "x"}, "id": value})) == (
        400,
        "malformed_event",
    )
    assert not WebhookEvent.objects.exists()


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 5000, 10**30, None, [], {"a": 1}], ids=repr)
def test_words_of_the_provider_are_shortened_and_cleaned(value: Any, providers: SandboxProcess) -> None:
    order = make_order((make_product(units=5), 1))
    providers.set_faults(
        "payments", timeoutBeforeRate=1.0, timeoutSeconds=0, operations=["authorize", "lookup"]
    )
    work_off()
    providers.clear_faults()
    declined = event(order.order_id, "authorize", "declined", code=value, message=value)
    assert answer(send(declined)) == (200, "applied")


def test_it_refuses_more_than_an_event_can_be() -> None:
    assert send(b" " * (webhooks.LARGEST_BODY + 1)).status_code == 413


def test_without_a_secret_there_is_nothing_here(settings) -> None:
    settings.PAYMENT_WEBHOOK_SECRETS = []
    assert send({"id": "evt_1"}).status_code == 404


def test_the_sandbox_tells_twice_late_and_out_of_order_and_nothing_happens_twice(
    live_server, tmp_path, settings
) -> None:
    sandbox = SandboxProcess(
        data=tmp_path,
        environment={"SANDBOX_WEBHOOK_URL": f"{live_server.url}{ADDRESS}", "SANDBOX_WEBHOOK_SECRET": NEW},
    ).start()
    try:
        settings.PROVIDERS = {name: f"{sandbox.url}/{name}" for name in ("payments", "inventory", "email")}
        sandbox.set_faults("payments", webhookDuplicateRate=1.0, webhookDelayMs=300)
        product = make_product(units=50)
        orders = [make_order((product, 1)).order_id for _ in range(10)]
        work_off()
        for order_id in orders[:5]:
            commands.cancel_order(order_id=order_id, reason="Changed mind")
        work_off()

        def all_is_told() -> bool:
            make_everything_due()  # on a busy machine an answer may have come too late for its batch
            work_off()
            # An authorization and a capture each, and five refunds.
            return WebhookEvent.objects.count() == 25

        until(all_is_told)
        make_everything_due()
        work_off()
        statuses = [journey(order_id).status for order_id in orders]
        assert statuses == [Status.CANCELLED] * 5 + [Status.CONFIRMED] * 5
        assert audit.run().violations == []
        assert Order.objects.count() == len(orders)
    finally:
        sandbox.stop()


@pytest.mark.parametrize(
    "body",
    [
        {"id": "evt_1", "type": "payout.created", "data": {"object": {}}},
        {"id": "evt_2", "operation": None},
        {"type": ["no", "text"]},
        {},
    ],
)
def test_what_is_genuine_and_not_about_us_is_taken_and_counted(body: dict[str, Any], monkeypatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr(measures._book, "add", lambda field, _amount: counted.append(field[0]))

    assert answer(send(body)) == (200, "ignored")
    assert counted.count("payment_webhooks_ignored") == 1
    assert not WebhookEvent.objects.exists()
