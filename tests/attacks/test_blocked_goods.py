"""Stock cannot be blocked for free: an unpaid order holds units only until its card is declined."""

import pytest
from django.db import connection

from inventory.models import Product, StockItem
from orders import batches, commands, journal, steps
from orders.legs import PAYMENT, STOCK
from orders.maintenance import audit
from orders.models import Journey, StockQueue
from orders.status import Status
from orders.waits import shortages
from sandbox.process import SandboxProcess
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import make_everything_due, run_canvas, work_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("ledger_balances")]


@pytest.fixture
def ledger_balances(providers: SandboxProcess):
    """After each test the audit must be clean."""
    make_shipping()
    yield
    violations = [str(v) for v in audit.run().violations if "no order" not in v.details]
    assert violations == []


@pytest.fixture(autouse=True)
def batches_leave_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is due leaves at once, however soon after the last."""
    monkeypatch.setattr(batches, "FRESH_SECONDS", 0)


def journey(order_id: int) -> Journey:
    return Journey.objects.get(order_id=order_id)


def queue() -> set[int]:
    return set(StockQueue.objects.values_list("order_id", flat=True))


def types(order_id: int) -> list[str]:
    return [event.type for event in journal.events_of(order_id)]


def travel(*, stock_last: bool = False) -> None:
    """Claim what is due now, and have it travel; what becomes due meanwhile stays."""
    for claimed in batches.claim():
        run_canvas(batches.canvas(claimed), stock_last=stock_last)


def hold_unpaid(product: Product, quantity: int) -> None:
    """Reserve units for an order whose payment is not processed."""
    make_order((product, quantity), token="tok_declined")
    (claimed,) = batches.claim()
    steps.reserve_stock(batch_id=claimed.batch_id)


def let_wait_end(order_id: int) -> None:
    """Have the order wait for longer than it may, until its next try."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE orders_journey SET due_at = now() WHERE order_id = %s", [order_id])
        cursor.execute(
            "UPDATE orders_orderevent SET at = at - interval '1 hour' WHERE order_id = %s", [order_id]
        )


@pytest.mark.parametrize("stock_last", [True, False])
def test_units_held_by_a_declined_order_go_to_the_buyer_behind_it(stock_last: bool) -> None:
    product = make_product(units=10)
    attack = make_order((product, 10), token="tok_declined")
    honest = make_order((product, 1))
    travel(stock_last=stock_last)
    waiting = journey(honest.order_id)
    assert (waiting.status, waiting.stock, waiting.waiting_for) == (
        Status.PROCESSING,
        STOCK.SHORT,
        STOCK.UNITS_HELD,
    )
    work_off()
    assert journey(attack.order_id).status == Status.REJECTED
    assert journey(honest.order_id).status == Status.CONFIRMED
    assert types(honest.order_id).count("order_waiting") == 1


def test_an_unbroken_chain_of_declined_orders_keeps_nobody_from_buying() -> None:
    product = make_product(units=10)
    honest = []
    for _ in range(8):
        make_order((product, 10), token="tok_declined")
        honest.append(make_order((product, 1)).order_id)
        travel()
        shortages.wake()
    for _ in range(5):
        travel()
        shortages.wake()
    assert {journey(order_id).status for order_id in honest} == {Status.CONFIRMED}


def test_the_queue_holds_the_orders_that_wait_and_only_them() -> None:
    product = make_product(units=10)
    make_order((product, 10), token="tok_declined")
    served, cancelled = make_order((product, 1)), make_order((product, 1))
    travel()
    assert queue() == {served.order_id, cancelled.order_id}
    commands.cancel_order(order_id=cancelled.order_id, reason="")
    work_off()
    assert journey(served.order_id).status == Status.CONFIRMED
    assert queue() == {cancelled.order_id}
    assert shortages.forget_served() == 1
    assert queue() == set()


def test_an_order_that_still_waits_stays_in_the_queue() -> None:
    product = make_product(units=10)
    hold_unpaid(product, 10)
    waiting = make_order((product, 1))
    travel()
    make_everything_due()
    travel()
    assert journey(waiting.order_id).stock == STOCK.SHORT
    assert shortages.forget_served() == 0
    assert queue() == {waiting.order_id}


def test_who_came_later_takes_no_units_that_an_earlier_one_waits_for() -> None:
    product = make_product(units=10)
    make_order((product, 10), token="tok_declined")
    first = make_order((product, 6))
    travel()  # the declined order holds all, the first buyer queues
    travel()  # its units go back on the shelf
    later = make_order((product, 6))
    travel()
    assert journey(later.order_id).stock == STOCK.SHORT
    shortages.wake()
    work_off()
    assert journey(first.order_id).status == Status.CONFIRMED
    shortages.wake()
    work_off()
    assert (journey(later.order_id).status, journey(later.order_id).reason) == (
        Status.REJECTED,
        "out_of_stock",
    )


def test_a_queued_order_that_cannot_be_served_yet_holds_up_nobody() -> None:
    product = make_product(units=10)
    hold_unpaid(product, 8)
    large, small = make_order((product, 9)), make_order((product, 2))
    travel()
    assert journey(large.order_id).stock == STOCK.SHORT
    assert journey(small.order_id).status == Status.CONFIRMED


def test_units_that_are_not_there_at_all_are_refused_at_once() -> None:
    product = make_product(units=10)
    make_order((product, 10), token="tok_declined")
    honest = make_order((product, 11))
    travel()
    refused = journey(honest.order_id)
    assert (refused.stock, refused.reason) == (STOCK.REFUSED, "out_of_stock")


def test_paid_units_are_no_reason_to_wait() -> None:
    product = make_product(units=10)
    make_order((product, 10))
    work_off()
    honest = make_order((product, 1))
    work_off()
    assert journey(honest.order_id).reason == "out_of_stock"
    assert "order_waiting" not in types(honest.order_id)


def test_the_wait_ends_as_soon_as_the_units_are_paid_by_others() -> None:
    product = make_product(units=10)
    bought, honest = make_order((product, 10)), make_order((product, 1))
    travel()
    assert journey(bought.order_id).status == Status.CONFIRMED
    assert journey(honest.order_id).stock == STOCK.SHORT
    assert shortages.wake() == 1
    work_off()
    assert journey(honest.order_id).status == Status.REJECTED
    assert journey(honest.order_id).payment == PAYMENT.VOIDED


def test_the_wait_is_bounded() -> None:
    product = make_product(units=10)
    hold_unpaid(product, 10)
    honest = make_order((product, 1))
    travel()
    assert journey(honest.order_id).waiting_for == STOCK.UNITS_HELD
    let_wait_end(honest.order_id)
    travel()
    refused = journey(honest.order_id)
    assert (refused.stock, refused.reason) == (STOCK.REFUSED, "out_of_stock")
    make_everything_due()
    work_off()
    assert StockItem.objects.get(product=product).reserved == 0
