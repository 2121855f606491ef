"""The audit can fail: after a bad day with each defect it names orders, and after the same day without, none."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from inventory.models import Product
from orders import batches, commands, journal
from orders.maintenance import audit
from orders.maintenance.expiry import ExpiryWatch
from orders.managers import JourneyManager
from orders.models import Journey, OrderEvent
from orders.refunding import capturing
from orders.status import UNDER_WAY
from payments.models import Transaction
from sandbox.process import SandboxProcess
from scheduling.slots import database_now
from shipping.models import Rate
from tests.factories import make_order, make_product, make_shipping, make_user
from tests.fixtures.pipeline import make_everything_due, run_canvas, work_off
from tests.planted import FAULTS, Refused, plant, planted
from tests.simulation.test_simulation import NOT_HERE

pytestmark = pytest.mark.django_db(transaction=True)

# What the audit of one database and one provider's ledger can see after the fact. The simulation sees the others:
# a provider that itself refuses a second refund, or a worker that reads what is not committed yet.
SEEN_BY_THE_AUDIT = (
    "no_fencing",
    "key_per_try",
    "outcome_before_call",
    "sequence_with_gaps",
    "stock_without_guard",
    "capture_without_join",
    "unknown_is_declined",
    "release_forgotten",
    "trust_the_message",
    "undo_without_lookup",
)


@pytest.fixture
def shop(providers: SandboxProcess, settings, monkeypatch) -> Product:
    """A product with few units, and one try for each call to the provider."""
    make_shipping()
    monkeypatch.setattr(batches, "FRESH_SECONDS", 0.0)  # here batches are lost, and others follow at once
    settings.EXTERNAL_RETRY_ATTEMPTS = 1
    settings.STRAGGLER_PATIENCE_SECONDS = (
        30  # what is planted is in how answers are read, not in when they come
    )
    return make_product(units=4)


def bad_day(product: Product, provider: SandboxProcess) -> None:
    """Orders that are good, too many, declined and called off; answers that are lost, and messages."""
    called_off = make_order((product, 1))
    silence = {"timeoutAfterRate": 1.0, "timeoutSeconds": 0, "operations": ["authorize", "capture", "lookup"]}
    provider.set_faults("payments", **silence)
    sent = dispatched()
    commands.cancel_order(order_id=called_off.order_id, reason="It took too long")
    work_off()
    provider.clear_faults()
    make_order((product, 1))
    batches.claim()  # and its canvas is lost
    make_order((product, 1))
    for batch in batches.claim():
        canvas: Any = batches.canvas(batch)
        run_canvas(canvas.tasks[0])  # the stock leg's message is lost, the body comes early
        run_canvas(canvas.body)
    make_order((product, 2), (make_product(units=1), 2))
    make_order((product, 1), token="tok_declined")
    sent += dispatched() * 2
    for _ in range(3):
        make_everything_due()
        work_off()
    for batch in sent:  # every message comes once more, too late
        run_canvas(batches.canvas(batch))
    make_everything_due()
    work_off()


def dispatched() -> list[batches.Claimed]:
    """Claim what is due and run it."""
    claimed = batches.claim()
    for batch in claimed:
        run_canvas(batches.canvas(batch))
    return claimed


def found() -> list[str]:
    """What the audit finds, and which orders are not at rest although nothing is wrong any more."""
    report = audit.run()
    stuck = Journey.objects.filter(status__in=UNDER_WAY).values_list("order_id", "attention")
    known = [str(violation) for violation in report.violations if "no order" not in violation.details]
    return known + [f"order {order_id} is stuck: {attention}" for order_id, attention in stuck]


def test_a_bad_day_leaves_nothing_to_find(shop: Product, providers: SandboxProcess) -> None:
    bad_day(shop, providers)
    assert found() == []


@pytest.mark.parametrize("fault", SEEN_BY_THE_AUDIT)
def test_the_audit_catches(fault: str, shop: Product, providers: SandboxProcess) -> None:
    with planted(fault):
        bad_day(shop, providers)
    assert found() != []


AT_PROVIDER = "provider took 0.00 in 0 captures, gave back 0.00, holds 0.00;"


def expired_day(product: Product, provider: SandboxProcess) -> None:
    """Of two orders that staff capture, one's authorization expires before its capture, the other's with none."""
    late, left = (make_order((product, 1), capture_later=True).order_id for _ in range(2))
    work_off()
    for authorization in Transaction.objects.filter(kind="authorize"):
        provider.expire(authorization.provider_id)
    capturing.capture_part(order_id=late, amount=Decimal(10))
    work_off()
    Transaction.objects.filter(order_id=left).update(finished_at=database_now() - timedelta(days=8))
    ExpiryWatch().look()


@pytest.mark.parametrize(
    ("fault", "violations"),
    [
        ("", []),
        ("expired_is_captured", [f"{AT_PROVIDER} order owes 10.00"]),
        ("expired_is_held", [f"{AT_PROVIDER} order owes 0.00"] * 2),
    ],
)
def test_the_audit_catches_what_is_made_of_an_expired_authorization(
    fault: str, violations: list[str], shop: Product, providers: SandboxProcess, settings
) -> None:
    settings.PAYMENT_AUTHORIZATION_DAYS = 7
    with planted(fault):
        expired_day(shop, providers)
    assert [violation.partition("confirmed: ")[2] for violation in found()] == violations


def events_missed_by_a_reader() -> set[tuple[int, int]]:
    """Read the journal while an older transaction is still open, and once more when it has ended."""
    product = make_product()
    start = journal.end()
    first, second = make_order((product, 1), hold=True), make_order((product, 1), hold=True)
    written, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        with transaction.atomic():
            commands.process_order(order_id=first.order_id)
            written.set()
            go_on.wait(10)
        connection.close()

    slow = threading.Thread(target=slowly)
    slow.start()
    assert written.wait(10)
    commands.process_order(order_id=second.order_id)
    read = journal.follow(start)
    go_on.set()
    slow.join()
    read += journal.follow(read[-1].position if read else start)
    stored = OrderEvent.objects.filter(order_id__in=[first.order_id, second.order_id])
    return set(stored.values_list("order_id", "sequence")) - {
        (event.order_id, event.sequence) for event in read
    }


def test_a_reader_of_the_journal_misses_nothing() -> None:
    assert events_missed_by_a_reader() == set()


def test_a_reader_that_goes_by_the_last_id_is_caught() -> None:
    with planted("feed_by_last_id"):
        assert events_missed_by_a_reader() != set()


def paid_in_dinars() -> None:
    """An order of 6.235 KWD: the third decimal counts."""
    product = make_product()
    Product.objects.filter(pk=product.pk).update(currency="KWD", price="1.235")
    Rate.objects.update(currency="KWD")
    body = {"customerName": "Alice", "currency": "KWD", "items": [{"sku": product.sku, "quantity": 1}]}
    client = APIClient()
    client.force_authenticate(make_user())
    assert client.post("/api/orders", body, format="json").status_code == 201
    work_off()


def test_the_third_decimal_of_a_currency_is_charged(shop: Product, providers: SandboxProcess) -> None:
    paid_in_dinars()
    assert found() == []


def test_an_amount_of_two_decimals_is_caught(shop: Product, providers: SandboxProcess) -> None:
    with planted("two_decimals"):
        paid_in_dinars()
    assert any("order owes" in violation for violation in found()), found()


def test_every_planted_fault_is_caught_somewhere() -> None:
    assert {"feed_by_last_id", "two_decimals"} == NOT_HERE
    assert set(SEEN_BY_THE_AUDIT) <= set(FAULTS)
    assert len(FAULTS) >= 10


def test_no_fault_is_planted_where_real_orders_may_be(settings) -> None:
    settings.DEBUG = False
    with pytest.raises(Refused):
        plant("no_fencing")


def test_what_was_planted_in_a_block_is_gone_after_it() -> None:
    before = JourneyManager.lock_batch
    with planted("no_fencing"):
        assert JourneyManager.lock_batch is not before
    assert JourneyManager.lock_batch is before
