"""Comparing our stock with the warehouse's."""

import random
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.db import transaction

from inventory import sync, tasks
from inventory.models import StockChange, StockItem
from inventory.stock import Wanted
from inventory.sync import SyncSummary
from scheduling.models import ScheduledRun
from tests.inventory.goods import at_once, make_product, reserved_equals_reservations, units

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def sync_stock() -> SyncSummary:
    return sync.sync_stock(now=NOW)


def changes() -> list[tuple[int, int, int]]:
    """Return (product, wanted, applied) of each recorded change, the oldest first."""
    return list(StockChange.objects.order_by("pk").values_list("product_id", "wanted", "applied"))


class TestAgreement:
    def test_nothing_is_written_when_on_hand_and_sold_are_what_was_received(self, warehouse):
        make_product(1, on_hand=7, reserved=2, sold=3)
        warehouse.received(SKU_1=10)
        assert sync_stock() == SyncSummary(pages=1, products=1)
        assert not StockChange.objects.exists()

    def test_it_costs_one_query_a_page(self, warehouse, django_assert_num_queries):
        make_product(1, on_hand=10)
        warehouse.received(SKU_1=10)
        with django_assert_num_queries(1):
            sync_stock()


class TestDifference:
    def test_units_that_the_warehouse_has_more_are_added(self, warehouse):
        make_product(1, on_hand=7, reserved=2, sold=3)
        warehouse.received(SKU_1=15)
        assert sync_stock() == SyncSummary(pages=1, products=1, differences=1, applied=1)
        assert units(1) == (12, 2, 3)

    def test_units_that_it_misses_are_taken_off_and_recorded(self, warehouse):
        make_product(1, on_hand=7, reserved=2, sold=3)
        warehouse.received(SKU_1=6)
        sync_stock()
        assert units(1) == (3, 2, 3)
        change = StockChange.objects.get()
        assert (change.source, change.wanted, change.applied, change.on_hand_after) == ("sync", -4, -4, 3)
        assert (change.made_by, change.made_at) == ("", NOW)

    def test_what_orders_have_reserved_stays_and_the_record_says_what_was_wanted(self, warehouse):
        make_product(1, on_hand=7, reserved=5, sold=3)
        warehouse.received(SKU_1=4)
        assert sync_stock() == SyncSummary(pages=1, products=1, differences=1, applied=0)
        assert units(1) == (5, 5, 3)
        assert changes() == [(1, -6, -2)]

    def test_a_difference_that_stays_is_not_recorded_at_every_sync(self, warehouse):
        make_product(1, on_hand=7, reserved=5, sold=3)
        warehouse.received(SKU_1=4)
        for _ in range(4):
            assert sync_stock().differences == 1
        assert changes() == [(1, -6, -2), (1, -4, 0)]

    def test_it_is_made_up_for_when_orders_let_go(self, warehouse):
        make_product(1, on_hand=7)
        StockItem.objects.reserve(wanted=[Wanted(1, 1, 5)])
        warehouse.received(SKU_1=1)
        sync_stock()
        StockItem.objects.release(order_ids=[1])
        assert sync_stock().applied == 1
        assert units(1) == (1, 0, 0)

    def test_it_never_goes_below_nothing(self, warehouse):
        make_product(1, on_hand=2, sold=8)
        warehouse.received(SKU_1=0)
        sync_stock()
        assert units(1) == (0, 0, 8)

    def test_a_product_without_stock_gets_what_the_warehouse_has(self, warehouse):
        make_product(1, on_hand=None)
        warehouse.received(SKU_1=4)
        sync_stock()
        assert units(1) == (4, 0, 0)

    def test_skus_that_we_do_not_sell_are_counted_and_left_alone(self, warehouse):
        make_product(1, on_hand=1)
        warehouse.received(SKU_1=1, ZZ_1=5, AA_1=5)
        assert sync_stock() == SyncSummary(pages=1, products=1, unknown=2)

    def test_products_that_the_warehouse_does_not_know_are_left_alone(self, warehouse):
        make_product(1, on_hand=5)
        assert sync_stock() == SyncSummary(pages=1)
        assert units(1) == (5, 0, 0)


class TestPages:
    def test_it_goes_through_all_pages(self, warehouse, monkeypatch):
        monkeypatch.setattr(sync, "PAGE_SIZE", 3)
        for number in range(1, 9):
            make_product(number, on_hand=1)
            warehouse.received(**{f"SKU_{number}": number})
        assert sync_stock() == SyncSummary(pages=3, products=8, differences=7, applied=7)
        assert [units(number)[0] for number in range(1, 9)] == list(range(1, 9))

    @pytest.mark.parametrize(
        "second",
        [
            "no page",
            {"items": [{"sku": "SKU-2", "received": -1}], "next": None},
            {"items": [{"sku": "SKU-2", "received": "many"}], "next": None},
            {"items": [], "next": "SKU-1"},
            {"items": [], "next": "A"},
        ],
    )
    def test_a_page_that_makes_no_sense_ends_it_and_keeps_the_pages_before(self, strange_warehouse, second):
        make_product(1, on_hand=1)
        make_product(2, on_hand=1)
        first = {"items": [{"sku": "SKU-1", "received": 5}], "next": "SKU-1"}
        strange_warehouse({"": first, "SKU-1": second})
        summary = sync_stock()
        assert "page after 'SKU-1'" in summary.stopped
        assert summary.applied == 1
        assert units(1) == (5, 0, 0)
        assert units(2) == (1, 0, 0)

    def test_a_sku_that_cannot_be_one_of_ours_is_unknown(self, strange_warehouse):
        strange_warehouse({"": {"items": [{"sku": "a\0b", "received": 5}], "next": None}})
        assert sync_stock() == SyncSummary(pages=1, unknown=1)


class TestProviderTrouble:
    @pytest.mark.parametrize("fault", [{"down": True}, {"errorRate": 1}, {"garbageRate": 1}])
    def test_it_says_so_and_changes_nothing(self, warehouse, fault):
        make_product(1, on_hand=1)
        warehouse.received(SKU_1=5)
        warehouse.sandbox.set_faults("inventory", **fault)
        summary = sync_stock()
        assert summary.pages == 0
        assert summary.stopped.startswith("inventory is unavailable")
        assert units(1) == (1, 0, 0)

    def test_it_bears_a_provider_that_fails_now_and_then(self, warehouse, settings):
        settings.EXTERNAL_RETRY_ATTEMPTS = 8
        make_product(1, on_hand=1)
        warehouse.received(SKU_1=5)
        warehouse.sandbox.set_faults("inventory", errorRate=0.4, seed=1)
        assert sync_stock().applied == 1


class TestTask:
    def test_two_beats_run_it_once_per_slot_and_the_outcome_can_be_read(self, warehouse, settings):
        settings.INVENTORY_SYNC_INTERVAL = 86_400
        make_product(1, on_hand=1)
        warehouse.received(SKU_1=5)
        tasks.sync_stock.run()
        warehouse.received(SKU_1=9)
        tasks.sync_stock.run(unknown_argument_of_a_later_release=1)
        assert units(1) == (5, 0, 0)
        assert "1 differed, 1 corrected" in ScheduledRun.objects.get(name="inventory.sync_stock").outcome

    def test_people_can_have_it_at_once(self, warehouse, settings):
        settings.INVENTORY_SYNC_INTERVAL = 86_400
        make_product(1, on_hand=1)
        tasks.sync_stock.run()
        warehouse.received(SKU_1=9)
        tasks.sync_stock.run(at_once=True)
        assert units(1) == (9, 0, 0)

    def test_a_provider_that_is_down_is_an_outcome_and_no_failure(self, warehouse):
        warehouse.sandbox.stop()
        tasks.sync_stock.run()
        assert "stopped: inventory is unavailable" in ScheduledRun.objects.get().outcome


@pytest.mark.django_db(transaction=True)
def test_it_runs_beside_orders_and_itself_without_losing_a_unit(warehouse):
    """Units on hand and sold add up to those received, whatever runs concurrently."""
    for number in range(1, 6):
        make_product(number, on_hand=100)
        warehouse.received(**{f"SKU_{number}": 200})

    def order(worker: int) -> None:
        chance = random.Random(worker)
        for turn in range(20):
            order_id = worker * 100 + turn
            with transaction.atomic():
                StockItem.objects.reserve(wanted=[Wanted(order_id, product, 1) for product in range(1, 6)])
            with transaction.atomic():
                chance.choice([StockItem.objects.release, StockItem.objects.sell])(order_ids=[order_id])

    def keep_syncing(_: int) -> None:
        for turn in range(5):
            sync.sync_stock(now=NOW + timedelta(minutes=turn))

    at_once([partial(order, 1), partial(order, 2), partial(keep_syncing, 3), partial(keep_syncing, 4)])
    sync_stock()
    for number in range(1, 6):
        on_hand, reserved, sold = units(number)
        assert (on_hand + sold, reserved) == (200, 0)
    assert reserved_equals_reservations()
    assert len(changes()) == 5
