"""Money under races: late workers, late answers, refusals, and people who cancel at the worst moment.

Real PostgreSQL, the real sandbox, and threads; what the provider's own ledger says at the end is what counts.
"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import requests
from django.db import connections
from django.db.models.functions import Now

import faults
from orders import batches, commands, journal, queries, steps
from orders.maintenance import audit
from orders.models import Journey
from orders.payment import answers
from orders.status import Status
from payments import ledger
from payments.gateways import gateway
from payments.gateways.protocol import Outcome
from payments.ledger import Kind
from payments.models import Transaction
from providers.breaker import breaker
from sandbox.process import SandboxProcess
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import make_everything_due, run_canvas, work_off
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

# Where no transaction is open, so that others can get at the order.
PLACES = (
    "reserve_stock.begin",
    "quote_shipping.end",
    "authorize_payment.begin",
    "authorize.before_call",
    "authorize.after_call",
    "authorize_payment.end",
    "capture_payment.begin",
    "capture.before_call",
    "capture.after_call",
    "capture_payment.end",
)
# The money is taken where the legs join: by the payment leg, or by the chord's body if stock is last.
PLACES_BY_LAST_LEG = [
    *((place, False) for place in PLACES if not place.startswith("capture_payment.")),
    *((place, True) for place in PLACES),
]


@pytest.fixture(autouse=True)
def shop(providers: SandboxProcess, settings):
    make_shipping()
    settings.EXTERNAL_RETRY_ATTEMPTS = 1
    breaker("payments").reset()
    yield
    breaker("payments").reset()
    violations = [str(v) for v in audit.run().violations if "no order" not in v.details]
    assert violations == []


def elsewhere(work: Callable[[], object]) -> None:
    """Do something as another process would: on connections of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Have something happen elsewhere, once, when a place is passed for the first time."""

    def have(place: str, work: Callable[[], object]) -> None:
        passed = threading.Event()

        def point(name: str, /) -> None:
            if name == place and not passed.is_set():
                passed.set()
                elsewhere(work)

        monkeypatch.setattr(faults, "point", point)

    return have


class HandoverUnless:
    """The setting PROVIDER_HANDOVER: on, except in threads that overtake another.

    Another process would have a loop of its own; this one's may be held up where it is overtaken. The other threads
    keep seeing it on: one that saw it off would not wait for its answers.
    """

    def __init__(self, overtaking: threading.local) -> None:
        self._overtaking = overtaking

    def __bool__(self) -> bool:
        return not getattr(self._overtaking, "is_on", False)


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def types(order_id: int) -> list[str]:
    return [event.type for event in journal.events_of(order_id)]


def net_at_provider(order_id: int) -> tuple[Decimal | int, ...]:
    """What the provider holds, and what it took and kept."""
    reference = str(Transaction.objects.filter(order_id=order_id).values_list("reference", flat=True)[0])
    for line in gateway().ledger():
        if line.reference == reference:
            return line.authorized - line.voided - line.captured, line.captured - line.refunded
    return Decimal(0), Decimal(0)


def settle_down(rounds: int = 4, *, stock_last: bool = False) -> None:
    for _ in range(rounds):
        work_off(stock_last=stock_last)
        make_everything_due()
    work_off()


# --- The worst moment --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "stock_last"), PLACES_BY_LAST_LEG)
def test_a_cancel_at_any_point_gives_everything_back(place: str, stock_last: bool, at) -> None:
    product = make_product(units=3)
    order_id = make_order((product, 1)).order_id
    at(place, lambda: commands.cancel_order(order_id=order_id, reason="Now"))
    settle_down(stock_last=stock_last)
    assert journey(order_id).status == Status.CANCELLED
    if Transaction.objects.filter(order_id=order_id).exists():
        assert net_at_provider(order_id) == (0, 0)


@pytest.mark.parametrize(("place", "stock_last"), PLACES_BY_LAST_LEG)
def test_a_worker_that_another_overtook_at_any_point_changes_nothing_any_more(
    place: str, stock_last: bool, at, settings
) -> None:
    order_id = make_order((make_product(units=3), 1)).order_id
    overtaking = threading.local()
    settings.PROVIDER_HANDOVER = HandoverUnless(overtaking)

    def overtake() -> None:
        overtaking.is_on = True
        make_everything_due()
        work_off()

    at(place, overtake)
    settle_down(stock_last=stock_last)
    assert journey(order_id).status == Status.CONFIRMED
    assert net_at_provider(order_id) == (0, Decimal("15.00"))
    assert types(order_id).count("order_confirmed") == 1


# --- Late, lost and forgotten ------------------------------------------------------------------------------


def test_a_transaction_that_another_worker_is_sending_is_not_struck_out() -> None:
    order_id = make_order((make_product(), 1)).order_id
    (claimed,) = batches.claim()
    steps.quote_shipping(batch_id=claimed.batch_id)
    charges = queries.charges([order_id])
    first = ledger.prepare(Kind.AUTHORIZE, charges)
    second = ledger.prepare(Kind.AUTHORIZE, charges)
    assert [first[0].is_new, second[0].is_new] == [True, False]
    not_sent = {order_id: ledger.NO_CAPACITY}
    ledger.delete_unsent(first, not_sent)
    assert Transaction.objects.filter(order_id=order_id).exists()
    ledger.delete_unsent([second[0]._replace(is_new=True)], not_sent)
    assert not Transaction.objects.filter(order_id=order_id).exists()


def test_a_call_that_was_slept_over_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = make_order((make_product(), 1)).order_id
    (claimed,) = batches.claim()
    steps.quote_shipping(batch_id=claimed.batch_id)
    prepared = ledger.prepare(Kind.AUTHORIZE, queries.charges([order_id]))
    monkeypatch.setattr(ledger, "monotonic", lambda: time.monotonic() + ledger.LONGEST_START + 1)
    outcomes = ledger.send(prepared, on_late=lambda *_: None)
    assert outcomes[order_id] == ledger.TOO_LATE
    assert gateway().find(key=prepared[0].key) is None


def test_money_that_arrives_while_the_undo_is_half_done_goes_back_too(providers: SandboxProcess) -> None:
    order_id = make_order((make_product(units=3), 1)).order_id
    providers.set_faults("payments", timeoutAfterRate=1.0, timeoutSeconds=0, operations=["authorize"])
    work_off()
    providers.clear_faults()
    commands.cancel_order(order_id=order_id, reason="Took too long")
    entry = Transaction.objects.get(order_id=order_id, kind=Kind.AUTHORIZE)
    ledger.record(Kind.AUTHORIZE, {order_id: Outcome("declined", code=ledger.NEVER_ARRIVED)})
    (claimed,) = batches.claim()
    steps.return_money(batch_id=claimed.batch_id)
    assert (journey(order_id).status, journey(order_id).payment) == (Status.CANCELLING, "nothing")
    arrived = gateway().find(key=entry.key)
    assert arrived is not None
    assert answers.record_late_outcome(Kind.AUTHORIZE, order_id, arrived, number=1)
    assert not answers.record_late_outcome(Kind.AUTHORIZE, order_id, arrived, number=1)
    settle_down()
    assert journey(order_id).status == Status.CANCELLED
    assert net_at_provider(order_id) == (0, 0)


def test_money_that_a_step_receives_after_the_order_has_ended_goes_back_too(at, settings) -> None:
    settings.PROVIDER_HANDOVER = False
    order_id = make_order((make_product(units=3), 1)).order_id

    def give_up() -> None:
        commands.cancel_order(order_id=order_id, reason="Took too long")
        ledger.record(Kind.AUTHORIZE, {order_id: Outcome("declined", code=ledger.NEVER_ARRIVED)})
        until(lambda: ended(order_id))

    at("authorize.after_call", give_up)
    settle_down()
    assert "payment_arrived_late" in types(order_id)
    assert journey(order_id).status == Status.CANCELLED
    assert net_at_provider(order_id) == (0, 0)


def test_money_that_another_worker_returned_already_is_no_late_payment(at, settings) -> None:
    settings.PROVIDER_HANDOVER = False
    order_id = make_order((make_product(units=3), 1)).order_id

    def cancel() -> None:
        commands.cancel_order(order_id=order_id, reason="Took too long")
        until(lambda: ended(order_id))

    at("authorize.after_call", cancel)
    settle_down()
    assert "payment_arrived_late" not in types(order_id)
    assert net_at_provider(order_id) == (0, 0)


def ended(order_id: int) -> bool:
    """Work off what is due; claims pause while another batch is fresh."""
    work_off()
    return journey(order_id).status == Status.CANCELLED


def test_a_void_that_a_capture_overtook_becomes_a_refund() -> None:
    order_id = make_order((make_product(units=3), 1)).order_id
    work_off()
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    # Our books gave the capture up; the provider took it after all.
    Transaction.objects.filter(order_id=order_id, kind=Kind.CAPTURE).update(
        state="declined", code=ledger.NEVER_ARRIVED, provider_id=""
    )
    settle_down()
    assert journey(order_id).status == Status.CANCELLED
    assert net_at_provider(order_id) == (0, 0)


def test_a_void_that_a_capture_may_have_overtaken_is_no_refusal(providers: SandboxProcess) -> None:
    order_id = make_order((make_product(units=3), 1)).order_id
    work_off()
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    Transaction.objects.filter(order_id=order_id, kind=Kind.CAPTURE).update(
        state="declined", code=ledger.NEVER_ARRIVED, provider_id=""
    )
    providers.set_faults("payments", errorRate=1.0, operations=["lookup"])
    work_off()
    waiting = journey(order_id)
    assert (waiting.status, waiting.waiting_for, waiting.attention) == ("cancelling", "payment_outcome", "")
    assert waiting.due_at is not None
    providers.clear_faults()
    settle_down()
    assert journey(order_id).status == Status.CANCELLED
    assert net_at_provider(order_id) == (0, 0)


@pytest.mark.parametrize(
    ("code", "asked_ago", "is_refusal"),
    [
        (ledger.NEVER_ARRIVED, timedelta(hours=1), True),
        (ledger.NEVER_ARRIVED, timedelta(0), False),  # it may still arrive
        ("capture_expired", timedelta(0), True),
    ],
)
def test_a_void_is_refused_once_no_capture_can_have_overtaken_it(
    providers: SandboxProcess, settings: Any, code: str, asked_ago: timedelta, is_refusal: bool
) -> None:
    settings.PROVIDER_HANDOVER = False  # a late answer would find the ledger as this test rewrites it
    order_id = make_order((make_product(units=3), 1)).order_id
    providers.set_faults("payments", timeoutBeforeRate=1.0, timeoutSeconds=0, operations=["capture"])
    work_off()
    providers.clear_faults()
    captures = Transaction.objects.filter(order_id=order_id, kind=Kind.CAPTURE)
    assert captures.update(state="declined", code=code, asked_at=Now() - asked_ago) == 1
    authorizations = Transaction.objects.filter(order_id=order_id, kind=Kind.AUTHORIZE)
    provider_id = authorizations.get().provider_id
    authorizations.update(provider_id="auth_of_nobody")
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    work_off()
    stuck = journey(order_id)
    assert (stuck.due_at is None) == is_refusal
    assert ("Void of 15.00 USD refused by the provider" in stuck.attention) == is_refusal
    authorizations.update(provider_id=provider_id)
    commands.retry_order(order_id=order_id)
    settle_down()
    assert journey(order_id).status == Status.CANCELLED
    assert net_at_provider(order_id) == (0, 0)


# --- The provider says no ----------------------------------------------------------------------------------


def refund_by_hand(provider: SandboxProcess, order_id: int, amount: str) -> None:
    capture = Transaction.objects.get(order_id=order_id, kind=Kind.CAPTURE)
    body = {
        "capture": capture.provider_id,
        "amount": amount,
        "currency": capture.currency,
        "reference": str(capture.reference),
    }
    headers = {"Idempotency-Key": f"by-hand-{order_id}-{amount}"}
    answer = requests.post(f"{provider.url}/payments/refunds", json=body, headers=headers, timeout=5)
    assert answer.status_code == 201


def test_a_refused_refund_stops_before_a_person_with_the_amount(providers: SandboxProcess) -> None:
    order_id = make_order((make_product(units=3), 1)).order_id
    work_off()
    refund_by_hand(providers, order_id, "5.00")
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    settle_down()
    stuck = journey(order_id)
    assert (stuck.status, stuck.due_at) == (Status.CANCELLING, None)
    assert "Refund of 15.00 USD refused by the provider: refund_exceeds_capture" in stuck.attention
    before = types(order_id)
    commands.retry_order(order_id=order_id)
    settle_down()
    assert journey(order_id).attention == stuck.attention
    assert types(order_id) == [*before, "order_retried", "attention_needed"]


def test_a_refund_that_was_made_by_hand_is_recognised(providers: SandboxProcess) -> None:
    order_id = make_order((make_product(units=3), 1)).order_id
    work_off()
    refund_by_hand(providers, order_id, "15.00")
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    settle_down()
    assert journey(order_id).status == Status.CANCELLED
    assert net_at_provider(order_id) == (0, 0)


# --- The provider is away ----------------------------------------------------------------------------------


def test_an_undo_waits_for_the_provider_as_long_as_it_takes(providers: SandboxProcess) -> None:
    product = make_product(units=3)
    order_id = make_order((product, 1)).order_id
    work_off()
    providers.set_faults("payments", down=True)
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    settle_down(rounds=12)
    waiting = journey(order_id)
    assert (waiting.status, waiting.waiting_for) == (Status.CANCELLING, "payment_provider")
    assert waiting.attention == ""
    assert waiting.attempts <= 1
    providers.clear_faults()
    breaker("payments").reset()
    settle_down()
    assert journey(order_id).status == Status.CANCELLED
    assert net_at_provider(order_id) == (0, 0)


def test_two_undos_side_by_side_refund_once() -> None:
    order_id = make_order((make_product(units=3), 1)).order_id
    work_off()
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    claimed = batches.claim()

    def travel() -> None:
        for batch in claimed:
            run_canvas(batches.canvas(batch))

    together = [threading.Thread(target=elsewhere, args=[travel]) for _ in range(4)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    settle_down()
    assert journey(order_id).status == Status.CANCELLED
    assert net_at_provider(order_id) == (0, 0)
    assert types(order_id).count("money_returned") == 1


def test_an_undo_that_is_delivered_twice_is_recorded_once(at, settings) -> None:
    settings.PROVIDER_HANDOVER = False
    order_id = make_order((make_product(units=3), 1)).order_id
    work_off()
    commands.cancel_order(order_id=order_id, reason="Changed mind")
    (claimed,) = batches.claim()
    at("refund.after_call", lambda: steps.return_money(batch_id=claimed.batch_id))
    steps.return_money(batch_id=claimed.batch_id)
    assert types(order_id).count("money_returned") == 1
    settle_down()
    assert net_at_provider(order_id) == (0, 0)


def test_what_is_known_already_is_no_news() -> None:
    order_id = make_order((make_product(units=3), 1)).order_id
    work_off()
    assert ledger.record(Kind.AUTHORIZE, {order_id: Outcome("declined", code="card_declined")}) == set()
    assert journey(order_id).status == Status.CONFIRMED
