"""Calls that are handed over: no batch waits for them, each answer finds its order, and no order is forgotten."""

import time
from datetime import timedelta

import pytest
from django.db.backends.signals import connection_created
from django.utils import timezone

from orders import batches, journal, steps
from orders.batches import Paused, Progress
from orders.events import EventType
from orders.legs import PAYMENT
from orders.models import Batch, Journey, StepRun
from orders.payment import handover
from orders.status import Status
from payments.ledger import Kind
from payments.models import Transaction
from sandbox.process import SandboxProcess
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import await_answers, make_everything_due, run_canvas, work_off
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers")]


@pytest.fixture(autouse=True)
def shop(providers: SandboxProcess, settings) -> None:
    settings.EXTERNAL_TIMEOUT_SECONDS = 20.0
    make_shipping()


def order() -> int:
    return int(make_order((make_product(units=100), 1)).order_id)


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def types(order_id: int) -> list[str]:
    return [event.type for event in journal.events_of(order_id)]


def batch_up_to_authorization(*, with_stock: bool = True) -> int:
    """Claim what is due and run its legs, but await no answer. Return the batch's id."""
    (claimed,) = batches.claim()
    if with_stock:
        steps.reserve_stock(batch_id=claimed.batch_id)
    steps.quote_shipping(batch_id=claimed.batch_id)
    is_over = steps.authorize_payment(batch_id=claimed.batch_id)
    assert is_over is (Batch.objects.get(pk=claimed.batch_id).finished_at is not None)
    return claimed.batch_id


def test_an_order_leaves_its_batch_when_its_call_is_handed_over(providers: SandboxProcess) -> None:
    providers.set_faults("payments", latencyMs=2000, operations=["authorize"])
    order_id = order()
    batch_up_to_authorization()
    waiting = journey(order_id)
    assert (waiting.status, waiting.batch_id, waiting.payment) == (Status.PROCESSING, None, "")
    assert waiting.due_at is not None
    assert timedelta(0) < waiting.due_at - timezone.now() < timedelta(seconds=10)
    assert Batch.objects.get().finished_at
    assert batches.claim() == []

    await_answers()
    assert journey(order_id).status == Status.CONFIRMED
    assert EventType.WAITING not in types(order_id)


def test_a_slow_answer_costs_its_own_order_only(providers: SandboxProcess, settings) -> None:
    settings.EXTERNAL_RETRY_ATTEMPTS, settings.EXTERNAL_TIMEOUT_SECONDS = 1, 5.0
    providers.set_faults("payments", latencyMs=60_000, operations=["authorize"])
    slow = order()
    batch_up_to_authorization()
    until(lambda: providers.tries("payments"))  # its call has arrived there
    providers.clear_faults()
    quick = order()
    (claimed,) = batches.claim()
    for step in (steps.reserve_stock, steps.quote_shipping, steps.authorize_payment):
        step(batch_id=claimed.batch_id)
    until(lambda: journey(quick).status == Status.CONFIRMED)
    assert journey(slow).status == Status.PROCESSING
    await_answers()
    assert journey(slow).waiting_for == PAYMENT.OUTCOME_UNKNOWN


@pytest.mark.parametrize("latency", [0, 1500])
def test_an_order_whose_stock_comes_last_is_captured_then_and_never_waits(
    providers: SandboxProcess, latency: int
) -> None:
    providers.set_faults("payments", latencyMs=latency, operations=["authorize"])
    order_id = order()
    batch_id = batch_up_to_authorization(with_stock=False)
    if not latency:
        await_answers()
    assert journey(order_id).batch_id == batch_id
    steps.reserve_stock(batch_id=batch_id)
    steps.capture_payment(batch_id=batch_id)
    assert Batch.objects.get().finished_at
    await_answers()
    assert journey(order_id).status == Status.CONFIRMED
    assert EventType.WAITING not in types(order_id)


def test_the_orders_of_a_worker_that_was_killed_are_looked_up_and_resumed(
    providers: SandboxProcess, settings, monkeypatch
) -> None:
    providers.set_faults("payments", latencyMs=1)  # the sandbox counts tries while it has a script
    order_id = order()
    submitted: list[object] = []
    with monkeypatch.context() as patched:
        patched.setattr(handover, "submit", lambda calls, **_how: submitted.extend(calls))
        batch_up_to_authorization()
    assert len(submitted) == 1
    due_at = journey(order_id).due_at
    assert due_at is not None
    assert due_at - timezone.now() < timedelta(seconds=settings.LEASE_SECONDS)

    make_everything_due()
    work_off()
    assert journey(order_id).status == Status.CONFIRMED
    key = Transaction.objects.get(order_id=order_id, kind=Kind.AUTHORIZE).key
    assert providers.tries("payments", key) == 2  # the look-up, which found nothing, and the call


def test_a_call_that_takes_long_keeps_its_order(providers: SandboxProcess, settings) -> None:
    settings.LEASE_SECONDS = 2.0
    providers.set_faults("payments", latencyMs=5000, operations=["authorize"])
    order_id = order()
    batch_up_to_authorization()
    first = journey(order_id).due_at
    assert first is not None
    until(lambda: journey(order_id).due_at not in (None, first), seconds=4)
    assert batches.claim() == []
    await_answers()
    assert journey(order_id).status == Status.CONFIRMED
    assert Batch.objects.count() == 1


def test_what_was_taken_up_by_another_is_not_renewed() -> None:
    order_id = order()
    (claimed,) = batches.claim()
    before = journey(order_id).due_at
    Journey.objects.renew_calls([order_id], lease=60.0)
    assert (journey(order_id).due_at, journey(order_id).batch_id) == (before, claimed.batch_id)


def test_calls_for_which_there_is_no_room_leave_with_the_next_batch(monkeypatch) -> None:
    orders = [order() for _ in range(3)]
    rooms = iter([1, 0])
    with monkeypatch.context() as patched:
        patched.setattr(handover, "room", lambda wanted, until, is_bulk: next(rooms))
        batch_up_to_authorization()
    await_answers()
    assert sorted(journey(order_id).status for order_id in orders) == [
        "confirmed",
        "processing",
        "processing",
    ]
    assert Batch.objects.get().finished_at
    work_off()
    assert {journey(order_id).status for order_id in orders} == {Status.CONFIRMED}
    assert all(EventType.WAITING not in types(order_id) for order_id in orders)


def test_a_batch_that_waits_for_room_lets_others_pass_and_goes_on_where_it_was(monkeypatch) -> None:
    orders = [order() for _ in range(3)]
    (claimed,) = batches.claim()
    rooms = iter([1, 0, 1, 0, 1])
    monkeypatch.setattr(handover, "room", lambda wanted, until, is_bulk: next(rooms))
    steps.reserve_stock(batch_id=claimed.batch_id)
    steps.quote_shipping(batch_id=claimed.batch_id)
    progress = Progress()
    for number in (1, 2):
        with pytest.raises(Paused) as pause:
            steps.authorize_payment(batch_id=claimed.batch_id, progress=progress)
        progress = pause.value.progress
        assert progress[:2] == (number, number)
        assert Transaction.objects.count() == number
        assert not Batch.objects.get().finished_at
    assert steps.authorize_payment(batch_id=claimed.batch_id, progress=progress) is True
    await_answers()
    assert {journey(order_id).status for order_id in orders} == {Status.CONFIRMED}
    assert StepRun.objects.filter(step="authorize_payment").count() == 1


def test_a_batch_that_has_waited_long_enough_waits_no_longer(settings, monkeypatch) -> None:
    order_id = order()
    (claimed,) = batches.claim()
    monkeypatch.setattr(handover, "room", lambda wanted, until, is_bulk: 0)
    steps.quote_shipping(batch_id=claimed.batch_id)
    waited = Progress(since=time.time() - settings.LEASE_SECONDS)
    steps.authorize_payment(batch_id=claimed.batch_id, progress=waited)
    assert journey(order_id).attempts == 0
    assert not Transaction.objects.exists()


def test_a_call_without_an_answer_leaves_the_order_waiting_for_its_outcome(
    providers: SandboxProcess, settings
) -> None:
    settings.EXTERNAL_TIMEOUT_SECONDS, settings.EXTERNAL_RETRY_ATTEMPTS = 0.5, 1
    providers.set_faults("payments", timeoutAfterRate=1.0, operations=["authorize"])
    order_id = order()
    work_off()
    assert (journey(order_id).waiting_for, journey(order_id).batch_id) == (PAYMENT.OUTCOME_UNKNOWN, None)
    providers.set_faults("payments", latencyMs=1)
    make_everything_due()
    work_off()
    assert journey(order_id).status == Status.CONFIRMED
    assert (
        providers.ledger()[str(Transaction.objects.filter(order_id=order_id)[0].reference)]["captures"] == 1
    )


def test_a_process_that_ends_leaves_what_has_no_answer_to_others(
    providers: SandboxProcess, monkeypatch
) -> None:
    monkeypatch.setattr(handover, "DRAIN_SECONDS", 0.1)
    providers.set_faults("payments", latencyMs=3000, operations=["authorize"])
    order_id = order()
    batch_up_to_authorization()
    handover.finish()
    due_at = journey(order_id).due_at
    assert due_at is not None
    assert due_at <= timezone.now()
    await_answers()
    assert journey(order_id).status == Status.CONFIRMED


def test_a_repeated_batch_asks_for_nothing_twice(providers: SandboxProcess) -> None:
    providers.set_faults("payments", latencyMs=1)
    order_id = order()
    claimed = batches.claim()
    for _ in range(3):
        for batch in claimed:
            run_canvas(batches.canvas(batch))
    assert journey(order_id).status == Status.CONFIRMED
    for transaction in Transaction.objects.filter(order_id=order_id):
        assert providers.tries("payments", transaction.key) == 1


def test_hundreds_of_late_answers_are_all_recorded(providers: SandboxProcess) -> None:
    product = make_product(units=1000)
    providers.set_faults("payments", latencyMs=2500, operations=["authorize"])
    for _ in range(300):
        make_order((product, 1))
    batch_up_to_authorization()
    await_answers()
    providers.clear_faults()
    make_everything_due()
    work_off()
    assert set(Journey.objects.values_list("status", flat=True)) == {Status.CONFIRMED}
    assert not Transaction.objects.filter(state="unknown").exists()


def test_late_answers_that_come_at_once_to_a_batch_that_waits_are_recorded_on_few_connections(
    providers: SandboxProcess, settings
) -> None:
    settings.PROVIDER_HANDOVER, settings.PROVIDER_CONCURRENCY = False, 40
    settings.STRAGGLER_PATIENCE_SECONDS = 1.0
    product = make_product(units=1000)
    providers.set_faults("payments", latencyMs=2000, operations=["authorize"])
    for _ in range(40):
        make_order((product, 1))
    batch_up_to_authorization()
    connections: list[object] = []
    connection_created.connect(
        lambda connection, **_: connections.append(connection), weak=False, dispatch_uid="counted"
    )

    until(lambda: not Transaction.objects.filter(state="unknown").exists())
    connection_created.disconnect(dispatch_uid="counted")
    assert len(connections) < 10
    assert Transaction.objects.filter(state="succeeded").count() > 30
    providers.clear_faults()
    make_everything_due()
    work_off()
    assert set(Journey.objects.values_list("status", flat=True)) == {Status.CONFIRMED}
