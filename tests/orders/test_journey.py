"""Orders of each kind, from placing to rest: their states, journal, stock and the provider's own ledger."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import connection
from django.db.models.functions import Now

from inventory.models import Product, Reservation, StockItem
from orders import batches, commands, journal, steps
from orders.legs import STOCK
from orders.maintenance import audit
from orders.models import Batch, Journey, Order, StepRun
from orders.rules.leg_types import Outcomes, Reached
from orders.status import Status
from orders.workflow import JourneyState
from payments.gateways import gateway
from payments.models import Transaction
from providers.breaker import Admission, breaker
from sandbox.process import SandboxProcess
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import await_answers, lose_workers, make_everything_due, run_canvas, work_off
from tests.waiting import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers", "books_balance")]


@pytest.fixture
def books_balance(providers: SandboxProcess):
    """After each test the audit must be clean."""
    make_shipping()
    yield
    violations = [str(v) for v in audit.run().violations if "no order" not in v.details]
    assert violations == []


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def types(order_id: int) -> list[str]:
    return [event.type for event in journal.events_of(order_id)]


def units(product: Product) -> tuple[int, int, int]:
    item = StockItem.objects.get(product=product)
    return item.on_hand, item.reserved, item.sold


def at_provider(order_id: int) -> tuple[Decimal | int, ...]:
    """What the provider holds, took and gave back for the order, by its own books."""
    reference = str(Order.objects.get(pk=order_id).uuid)
    for line in gateway().ledger():
        if line.reference == reference:
            return line.authorized - line.voided - line.captured, line.captured, line.refunded
    return Decimal(0), Decimal(0), Decimal(0)


def test_a_good_order_is_confirmed_with_stock_held_and_money_taken() -> None:
    laptop = make_product(price="999.99", units=5)
    order = make_order((laptop, 2))
    work_off()
    assert journey(order.order_id).status == Status.CONFIRMED
    assert units(laptop) == (5, 2, 0)
    assert at_provider(order.order_id) == (0, Decimal("2004.98"), 0)
    story = types(order.order_id)
    assert story[:2] == ["order_placed", "processing_started"]
    assert sorted(story[2:5]) == ["payment_authorized", "shipping_quoted", "stock_reserved"]
    assert story[5:] == ["payment_captured", "order_confirmed"]


def test_an_order_that_is_out_of_stock_is_rejected_and_its_authorization_voided() -> None:
    rare = make_product(units=1)
    order = make_order((rare, 2))
    work_off()
    assert journey(order.order_id).status == Status.REJECTED
    assert journey(order.order_id).reason == "out_of_stock"
    assert units(rare) == (1, 0, 0)
    assert at_provider(order.order_id) == (0, 0, 0)


def test_a_declined_order_is_rejected_and_its_stock_goes_back() -> None:
    product = make_product(units=3)
    order = make_order((product, 1), token="tok_declined")
    work_off()
    assert journey(order.order_id).status == Status.REJECTED
    assert journey(order.order_id).reason == "card_declined"
    assert units(product) == (3, 0, 0)
    assert types(order.order_id)[-2:] == ["stock_released", "order_rejected"]


def test_an_order_to_where_we_do_not_deliver_is_rejected_without_asking_for_money() -> None:
    product = make_product(units=3)
    order = make_order((product, 1), country="AQ")
    work_off()
    assert journey(order.order_id).status == Status.REJECTED
    assert journey(order.order_id).reason == "not_shippable"
    assert units(product) == (3, 0, 0)
    assert not any("payment" in event for event in types(order.order_id))


def test_in_one_batch_each_order_has_its_own_fate() -> None:
    product = make_product(units=3)
    orders = {
        "good": make_order((product, 2)),
        "short": make_order((product, 2)),
        "declined": make_order((product, 1), token="tok_declined"),
        "abroad": make_order((product, 1), country="KP"),
    }
    work_off()
    statuses = {name: journey(order.order_id).status for name, order in orders.items()}
    assert statuses == {
        "good": "confirmed",
        "short": "rejected",
        "declined": "rejected",
        "abroad": "rejected",
    }
    assert units(product) == (3, 2, 0)


def test_who_ordered_first_is_served_first() -> None:
    product = make_product(units=10)
    orders = [make_order((product, 3)) for _ in range(5)]
    work_off()
    statuses = [journey(order.order_id).status for order in orders]
    assert statuses == ["confirmed"] * 3 + ["rejected"] * 2


def test_a_held_order_stays_pending_until_it_is_processed() -> None:
    order = make_order((make_product(), 1), hold=True)
    work_off()
    assert journey(order.order_id).status == Status.PENDING
    commands.process_order(order_id=order.order_id)
    work_off()
    assert journey(order.order_id).status == Status.CONFIRMED
    assert commands.process_order(order_id=order.order_id) is Status.CONFIRMED


def test_a_held_order_can_be_cancelled_and_never_asked_for_anything() -> None:
    order = make_order((make_product(), 1), hold=True)
    assert commands.cancel_order(order_id=order.order_id, reason="Changed mind") is Status.CANCELLED
    work_off()
    assert types(order.order_id) == ["order_placed", "order_cancelled"]


def test_completing_a_confirmed_order_sells_its_units() -> None:
    product = make_product(units=5)
    order = make_order((product, 2))
    work_off()
    assert commands.complete_order(order_id=order.order_id)
    assert journey(order.order_id).status == Status.COMPLETED
    assert units(product) == (3, 0, 2)
    assert commands.complete_order(order_id=order.order_id)


def test_completing_an_order_under_way_completes_it_as_soon_as_it_is_confirmed() -> None:
    product = make_product(units=5)
    order = make_order((product, 2))
    assert not commands.complete_order(order_id=order.order_id)
    work_off()
    assert journey(order.order_id).status == Status.COMPLETED
    assert units(product) == (3, 0, 2)


def test_cancelling_a_confirmed_order_gives_stock_and_money_back() -> None:
    product = make_product(units=5)
    order = make_order((product, 2))
    work_off()
    assert commands.cancel_order(order_id=order.order_id, reason="Changed mind") is Status.CANCELLING
    work_off()
    assert journey(order.order_id).status == Status.CANCELLED
    assert journey(order.order_id).reason == "Changed mind"
    assert units(product) == (5, 0, 0)
    assert at_provider(order.order_id) == (0, Decimal("25.00"), Decimal("25.00"))


def test_a_completed_order_is_cancelled_only_when_its_goods_came_back() -> None:
    product = make_product(units=5)
    order = make_order((product, 2))
    work_off()
    commands.complete_order(order_id=order.order_id)
    with pytest.raises(commands.NotPossible):
        commands.cancel_order(order_id=order.order_id, reason="too late")
    commands.cancel_order(order_id=order.order_id, reason="returned", returning=True)
    work_off()
    assert journey(order.order_id).status == Status.CANCELLED
    assert units(product) == (5, 0, 0)
    assert at_provider(order.order_id) == (0, Decimal("25.00"), Decimal("25.00"))


def test_cancelling_twice_changes_nothing() -> None:
    order = make_order((make_product(), 1))
    commands.cancel_order(order_id=order.order_id, reason="first")
    before = types(order.order_id)
    assert commands.cancel_order(order_id=order.order_id, reason="second") is Status.CANCELLED
    assert types(order.order_id) == before


def test_a_rejected_order_can_neither_be_cancelled_nor_completed() -> None:
    order = make_order((make_product(units=0), 1))
    work_off()
    with pytest.raises(commands.NotPossible):
        commands.cancel_order(order_id=order.order_id, reason="late")
    with pytest.raises(commands.NotPossible):
        commands.complete_order(order_id=order.order_id)


def test_a_provider_that_is_down_parks_the_order_and_says_so(providers: SandboxProcess) -> None:
    order = make_order((make_product(), 1))
    providers.set_faults("payments", down=True)
    work_off()
    parked = journey(order.order_id)
    assert parked.status == Status.PROCESSING
    assert parked.waiting_for in ("payment_provider", "payment_outcome")
    assert parked.due_at is not None
    providers.clear_faults()
    make_everything_due()
    work_off()
    assert journey(order.order_id).status == Status.CONFIRMED


@pytest.mark.parametrize("is_handed_over", [True, False])
def test_a_call_that_was_not_sent_leaves_no_transaction(settings, is_handed_over: bool) -> None:
    settings.PROVIDER_HANDOVER = is_handed_over
    order_id = make_order((make_product(), 1)).order_id
    for _ in range(10):
        breaker("payments").record(Admission(allowed=True), ok=False)
    work_off()
    breaker("payments").reset()
    assert journey(order_id).waiting_for == "payment_provider"
    assert not Transaction.objects.exists()
    make_everything_due()
    work_off()
    assert journey(order_id).status == Status.CONFIRMED


def test_a_charge_whose_answer_was_lost_is_found_and_not_made_twice(providers: SandboxProcess) -> None:
    order = make_order((make_product(), 1))
    providers.set_faults("payments", timeoutAfterRate=1.0, timeoutSeconds=0)
    work_off()
    assert journey(order.order_id).waiting_for == "payment_outcome"
    providers.clear_faults()
    make_everything_due()
    work_off()
    assert journey(order.order_id).status == Status.CONFIRMED
    assert at_provider(order.order_id) == (0, Decimal("15.00"), 0)


def test_a_cancel_while_the_charge_is_unknown_gives_back_what_was_held(providers: SandboxProcess) -> None:
    product = make_product(units=2)
    order = make_order((product, 1))
    providers.set_faults("payments", timeoutAfterRate=1.0, timeoutSeconds=0, operations=["authorize"])
    work_off()
    commands.cancel_order(order_id=order.order_id, reason="Took too long")
    work_off()
    assert journey(order.order_id).status == Status.CANCELLED
    assert units(product) == (2, 0, 0)
    assert at_provider(order.order_id)[0] == 0


def test_a_poisonous_order_is_put_before_a_person_and_spoils_no_other() -> None:
    product = make_product()
    orders = [make_order((product, 1)) for _ in range(5)]
    poison = orders[2].order_id
    # A gateway that is configured no longer: the step that calls it raises an error.
    Order.objects.filter(pk=poison).update(payment_gateway="gone")
    work_off()
    statuses = {order.order_id: journey(order.order_id).status for order in orders}
    assert statuses.pop(poison) == Status.PROCESSING
    assert set(statuses.values()) == {Status.CONFIRMED}
    stuck = journey(poison)
    assert stuck.due_at is None
    assert "GatewayUnknown" in stuck.attention
    assert "Traceback" in journal.events_of(poison)[-1].data["details"]


def test_a_step_that_breaks_on_one_order_stops_that_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    product = make_product()
    orders = [make_order((product, 1)).order_id for _ in range(5)]
    broken = orders[3]  # the last halves are of one order each
    quoted = JourneyState.shipping_quoted

    def breaks(state: JourneyState, amount: Decimal, *, goods: Decimal) -> None:
        if state.order_id == broken:
            raise ValueError("a defect")
        quoted(state, amount, goods=goods)

    monkeypatch.setattr(JourneyState, "shipping_quoted", breaks)
    work_off()
    statuses = {order_id: journey(order_id).status for order_id in orders}
    assert statuses.pop(broken) == Status.PROCESSING
    assert set(statuses.values()) == {Status.CONFIRMED}
    assert journey(broken).attention.startswith("quote_shipping: ")
    assert journey(broken).due_at is None
    assert "Traceback" in journal.events_of(broken)[-1].data["details"]
    # One run of the step, of the whole batch.
    assert StepRun.objects.filter(step="quote_shipping", ended_at__isnull=False).count() == 1
    commands.retry_order(order_id=broken)
    (alone,) = batches.claim()
    assert not steps.quote_shipping(batch_id=alone.batch_id), "the body has the batch to end"


def test_an_order_put_before_a_person_goes_on_when_the_cause_is_gone_and_the_person_says_so() -> None:
    order_id = make_order((make_product(), 1)).order_id
    Order.objects.filter(pk=order_id).update(goods_amount=Decimal("-99.00"))  # no call can be of it
    work_off()
    assert journey(order_id).attention
    Order.objects.filter(pk=order_id).update(goods_amount=Decimal("10.00"))
    commands.retry_order(order_id=order_id)
    work_off()
    assert journey(order_id).status == Status.CONFIRMED
    assert journey(order_id).attention == ""


def test_an_order_that_is_claimed_again_and_again_is_put_before_a_person(settings) -> None:
    order_id = make_order((make_product(), 1)).order_id
    lose_workers(settings.MAX_ATTEMPTS + 1)  # its first batch is not a suspect yet
    assert batches.claim() == []
    assert "without getting anywhere" in journey(order_id).attention
    commands.retry_order(order_id=order_id)
    work_off()
    assert journey(order_id).status == Status.CONFIRMED


def work_off_but(poison: int) -> list[int]:
    """Run what is due; who takes this order in hand dies. Return how many went with it, if it was due."""
    companions = []
    for claimed in batches.claim():
        if poison in claimed.order_ids:
            batches.acquire_batch(claimed.batch_id, step="reserve_stock")  # and its worker dies
            companions.append(len(claimed.order_ids) - 1)
        else:
            run_canvas(batches.canvas(claimed))
    return companions


@pytest.mark.parametrize(("max_attempts", "companions"), [(5, [19, 19, 19, 7, 0, 0]), (3, [19, 19, 19, 0])])
def test_an_order_that_kills_its_worker_takes_fewer_and_fewer_with_it(
    settings, max_attempts, companions
) -> None:
    settings.BATCH_SIZE, settings.MAX_ATTEMPTS, settings.MAX_CONCURRENT_BATCHES = 64, max_attempts, 30
    product = make_product()
    orders = [make_order((product, 1)).order_id for _ in range(20)]
    poison, found = orders[7], []
    for _ in range(max_attempts + 1):
        found += work_off_but(poison)
        make_everything_due()
    assert batches.claim() == []
    assert found == companions
    assert "without getting anywhere" in journey(poison).attention
    assert {journey(order).status for order in orders if order != poison} == {Status.CONFIRMED}


NOT_ANSWERED = {"timeoutBeforeRate": 1.0, "timeoutSeconds": 0, "operations": ["authorize"]}


@pytest.mark.parametrize(("faults", "wait"), [({"down": True}, "provider"), (NOT_ANSWERED, "outcome")])
def test_an_order_that_waits_for_its_provider_and_kills_its_workers_is_put_before_a_person(
    settings, providers: SandboxProcess, faults, wait
) -> None:
    product = make_product()
    orders = [make_order((product, 1)).order_id for _ in range(2)]
    settings.EXTERNAL_RETRY_ATTEMPTS = 1  # so few calls open no breaker
    providers.set_faults("payments", **faults)
    for _ in range(2):
        work_off()
        make_everything_due()
    assert {journey(order).waiting_for for order in orders} == {f"payment_{wait}"}
    lose_workers(settings.MAX_ATTEMPTS)
    last_tries = batches.claim()
    assert [len(claimed.order_ids) for claimed in last_tries] == [1, 1]
    for claimed in last_tries:
        batches.acquire_batch(claimed.batch_id, step="reserve_stock")  # and its worker dies
    make_everything_due()
    assert batches.claim() == []
    assert {journey(order).attention for order in orders} == {"lost with its worker 5 times in a row"}
    assert {journey(order).due_at for order in orders} == {None}


def test_orders_that_wait_beside_one_that_kills_its_workers_are_not_blamed_for_it(
    settings, providers: SandboxProcess
) -> None:
    settings.MAX_CONCURRENT_BATCHES, settings.BATCH_SIZE = 30, 64
    product = make_product()
    orders = [make_order((product, 1)).order_id for _ in range(20)]
    poison = orders[7]
    providers.set_faults("payments", down=True)
    work_off()
    for _ in range(settings.MAX_ATTEMPTS * 2):
        make_everything_due()
        work_off_but(poison)
    assert [order for order in orders if journey(order).attention] == [poison]
    providers.clear_faults()
    breaker("payments").reset()
    make_everything_due()
    work_off()
    assert {journey(order).status for order in orders if order != poison} == {Status.CONFIRMED}


def test_orders_travel_with_those_that_were_lost_as_often() -> None:
    product = make_product()
    orders = [make_order((product, 1)).order_id for _ in range(4)]
    for losses, pair in ((3, orders[:2]), (0, orders[2:])):
        lost = Batch.objects.create(size=2, order_ids=pair, losses=losses, finished_at=Now())
        Journey.objects.filter(order_id__in=pair).update(batch_id=lost.pk)
    assert sorted(claimed.order_ids for claimed in batches.claim()) == [orders[:2], orders[2:]]
    assert list(Batch.objects.order_by("id").values_list("losses", flat=True)[2:]) in ([3, 0], [0, 3])


def test_an_order_that_waits_and_gets_through_once_is_under_no_suspicion_any_more(
    settings, providers: SandboxProcess
) -> None:
    order_id = make_order((make_product(), 1)).order_id
    settings.EXTERNAL_RETRY_ATTEMPTS = 1  # so few calls open no breaker
    providers.set_faults("payments", **NOT_ANSWERED)
    for _ in range(3):
        work_off()
        make_everything_due()
        lose_workers(settings.MAX_ATTEMPTS)
    providers.clear_faults()
    work_off()
    assert journey(order_id).status == Status.CONFIRMED


def test_what_travels_through_another_nodes_broker_takes_no_room_here(settings) -> None:
    settings.MAX_CONCURRENT_BATCHES, settings.BATCH_SIZE = 1, 1
    product = make_product()
    orders = [make_order((product, 1)).order_id for _ in range(3)]
    settings.BATCH_NODE = "node-1"
    (first,) = batches.claim()
    assert batches.claim() == []
    settings.BATCH_NODE = "node-2"
    (second,) = batches.claim()
    assert [*first.order_ids, *second.order_ids] == orders[:2]
    assert batches.claim() == []


def test_suspects_leave_no_more_batches_at_once_than_may_travel(settings) -> None:
    settings.MAX_ATTEMPTS, settings.MAX_CONCURRENT_BATCHES = 2, 3
    product = make_product()
    orders = [make_order((product, 1)).order_id for _ in range(5)]
    lose_workers(2)
    assert [len(claimed.order_ids) for claimed in batches.claim()] == [1, 1, 1]
    assert batches.claim() == []
    make_everything_due()
    work_off()
    statuses = [journey(order).status for order in orders]
    assert statuses.count(Status.CONFIRMED) >= 2


def test_dispatchers_side_by_side_keep_to_the_limit_together(settings) -> None:
    settings.BATCH_SIZE, settings.MAX_CONCURRENT_BATCHES, settings.MAX_CONCURRENT_ORDERS = 2, 100, 5
    product = make_product()
    for _ in range(20):
        make_order((product, 1))
    start = Barrier(4)

    def dispatch() -> int:
        start.wait()
        try:
            return sum(len(batch.order_ids) for _ in range(5) for batch in batches.claim())
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as dispatchers:
        claimed = [running.result() for running in [dispatchers.submit(dispatch) for _ in range(4)]]

    assert sum(claimed) == settings.MAX_CONCURRENT_ORDERS


def test_an_order_whose_messages_are_lost_is_sent_for_as_long_as_it_takes(settings) -> None:
    order_id = make_order((make_product(), 1)).order_id
    for _ in range(settings.MAX_ATTEMPTS * 3):
        assert batches.claim()  # and no worker ever gets its message
        make_everything_due()
    assert journey(order_id).attention == ""
    work_off()
    assert journey(order_id).status == Status.CONFIRMED


def test_a_batch_that_cannot_be_sent_uses_up_no_try_and_makes_no_loss_forgotten() -> None:
    order_id = make_order((make_product(), 1)).order_id
    lose_workers(1)
    (unsent,) = batches.claim()
    batches.release_claim(unsent, seconds=0)
    (watched,) = batches.claim()
    in_hand = batches.acquire_batch(watched.batch_id, step="reserve_stock")
    assert in_hand
    assert in_hand.run_id is not None
    assert journey(order_id).attempts == 1


def test_a_batch_that_goes_in_halves_has_not_arrived_before_the_second(
    monkeypatch: pytest.MonkeyPatch,
    settings,
) -> None:
    settings.PROVIDER_HANDOVER = False
    product = make_product()
    for _ in range(2):
        make_order((product, 1))
    (claimed,) = batches.claim()
    settle, arrived = JourneyState.settle, []

    def settle_alone(state: JourneyState) -> None:
        arrived.append(Batch.objects.get().finished_at is not None)
        if len(arrived) == 1:
            raise ValueError("not with another one")
        settle(state)

    monkeypatch.setattr(JourneyState, "settle", settle_alone)
    run_canvas(batches.canvas(claimed), stock_last=True)
    assert arrived == [False, False, False]
    assert Batch.objects.get().finished_at
    assert set(Journey.objects.values_list("status", flat=True)) == {Status.CONFIRMED}


@pytest.mark.parametrize("is_handed_over", [True, False])
def test_a_batch_of_which_one_has_to_be_refused_waits_for_it(settings, is_handed_over: bool) -> None:
    settings.PROVIDER_HANDOVER = is_handed_over
    product = make_product(units=1)
    orders = [make_order((product, quantity)).order_id for quantity in (1, 2)]
    (claimed,) = batches.claim()
    steps.reserve_stock(batch_id=claimed.batch_id)
    steps.quote_shipping(batch_id=claimed.batch_id)
    assert not steps.authorize_payment(batch_id=claimed.batch_id), "something is left for the body"
    await_answers()
    assert [journey(order).status for order in orders] == [Status.CONFIRMED, Status.PROCESSING]
    assert Batch.objects.get().finished_at is None
    steps.capture_payment(batch_id=claimed.batch_id)
    assert journey(orders[1]).status == Status.CANCELLING
    assert Batch.objects.get().finished_at
    assert StepRun.objects.filter(step="authorize_payment").count() == 1


@pytest.mark.parametrize("is_handed_over", [True, False])
def test_money_is_taken_once_the_stock_is_held(settings, is_handed_over: bool) -> None:
    settings.PROVIDER_HANDOVER = is_handed_over
    order_id = make_order((make_product(), 1)).order_id
    (claimed,) = batches.claim()
    for step in (steps.quote_shipping, steps.authorize_payment):
        step(batch_id=claimed.batch_id)
    await_answers()
    assert at_provider(order_id) == (Decimal("15.00"), 0, 0)
    assert StepRun.objects.filter(step="authorize_payment").count() == 1
    for step in (steps.reserve_stock, steps.capture_payment):
        step(batch_id=claimed.batch_id)
    await_answers()
    assert at_provider(order_id) == (0, Decimal("15.00"), 0)
    assert journey(order_id).status == Status.CONFIRMED


def test_a_batch_that_waits_for_its_calls_goes_on_without_a_straggler(settings, providers) -> None:
    settings.PROVIDER_HANDOVER, settings.STRAGGLER_PATIENCE_SECONDS = False, 0.1
    order_id = make_order((make_product(), 1)).order_id
    providers.set_faults("payments", latencyMs=2000, operations=["authorize"])
    (claimed,) = batches.claim()
    run_canvas(batches.canvas(claimed))
    assert journey(order_id).waiting_for == "payment_outcome"
    providers.clear_faults()
    until(lambda: Transaction.objects.get(order_id=order_id).state == Transaction.State.SUCCEEDED)
    make_everything_due()
    work_off()
    assert journey(order_id).status == Status.CONFIRMED


def test_each_route_ends_its_batch() -> None:
    """One that did not would count as in flight until its lease ends."""
    completed, cancelled = (make_order((make_product(), 1)).order_id for _ in range(2))
    commands.complete_order(order_id=completed)  # once it is confirmed
    work_off()
    commands.cancel_order(order_id=cancelled, reason="Changed mind")
    work_off()
    assert [journey(order_id).status for order_id in (completed, cancelled)] == ["completed", "cancelled"]
    assert not Batch.objects.filter(finished_at=None).exists()


def test_a_legs_step_saves_the_outcomes_of_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "WORK", {})

    @steps.leg_step(STOCK)
    def check_stock(order_ids: list[int]) -> Outcomes:
        return {order_ids[0]: Reached(STOCK.REFUSED, "out_of_stock")}

    orders = [make_order((make_product(), 1)).order_id for _ in range(2)]
    (claimed,) = batches.claim()
    check_stock(batch_id=claimed.batch_id)
    assert [journey(order_id).stock for order_id in orders] == [STOCK.REFUSED, STOCK.PENDING]
    make_everything_due()
    work_off()
    assert [journey(order_id).status for order_id in orders] == [Status.REJECTED, Status.CONFIRMED]


def test_a_repeated_batch_changes_nothing() -> None:
    product = make_product(units=5)
    order = make_order((product, 1))
    claimed = batches.claim()
    for _ in range(3):
        for batch in claimed:
            run_canvas(batches.canvas(batch))
    assert journey(order.order_id).status == Status.CONFIRMED
    assert units(product) == (5, 1, 0)
    assert types(order.order_id).count("order_confirmed") == 1
    assert Reservation.objects.filter(order_id=order.order_id).count() == 1


def test_a_batch_that_has_just_left_is_followed_by_full_ones_only(settings, monkeypatch) -> None:
    settings.BATCH_SIZE = 2
    monkeypatch.setattr(batches, "FRESH_SECONDS", 600.0)
    product = make_product()
    make_order((product, 1))
    (alone,) = batches.claim()
    make_order((product, 1))
    assert batches.claim() == []
    make_order((product, 1))
    (full,) = batches.claim()
    assert len(full.order_ids) == 2
    make_order((product, 1))
    run_canvas(batches.canvas(alone))
    run_canvas(batches.canvas(full))
    assert len(batches.claim()) == 1


def test_what_travels_for_longer_holds_nobody_back() -> None:
    product = make_product()
    make_order((product, 1))
    assert batches.claim()
    make_order((product, 1))
    Batch.objects.update(started_at=Now() - timedelta(seconds=batches.FRESH_SECONDS))
    assert len(batches.claim()) == 1


def test_a_message_of_a_batch_that_is_long_forgotten_does_nothing() -> None:
    order_id = make_order((make_product(), 1)).order_id
    work_off()
    assert steps.capture_payment(batch_id=987_654), "it is over"
    assert journey(order_id).status == Status.CONFIRMED
