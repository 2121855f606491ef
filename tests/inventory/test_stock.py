"""Units of products: reserved, released, sold, returned, corrected."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import pytest
from django.db import DatabaseError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from inventory.models import Product, Reservation, StockChange, StockItem
from inventory.stock import NoStock, NotEnoughFree, Shortage, Wanted
from scheduling.slots import database_now
from tests.inventory.goods import (
    at_once,
    make_product,
    reservations,
    reserved_equals_reservations,
    units,
)
from tests.waiting import until

STAFF, SYNC = StockChange.Source.STAFF, StockChange.Source.SYNC


Result = TypeVar("Result")


def in_transaction(work: Callable[..., Result], **arguments: object) -> Result:
    with transaction.atomic():
        return work(**arguments)


def someone_waits_for_us() -> bool:
    """Whether another connection waits for a lock of this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
class TestReserve:
    def test_it_holds_the_units_and_leaves_them_in_the_warehouse(self):
        make_product(1, on_hand=10)
        make_product(2, on_hand=3)
        assert StockItem.objects.reserve(wanted=[Wanted(7, 1, 4), Wanted(7, 2, 3)]) == {}
        assert units(1) == (10, 4, 0)
        assert units(2) == (3, 3, 0)
        assert reservations() == {7: {1: 4, 2: 3}}

    def test_it_reserves_all_lines_of_an_order_or_none(self):
        make_product(1, on_hand=10)
        make_product(2, on_hand=1)
        refused = StockItem.objects.reserve(wanted=[Wanted(7, 1, 4), Wanted(7, 2, 2)])
        assert refused == {7: [Shortage(product_id=2, wanted=2, available=1)]}
        assert units(1) == (10, 0, 0)
        assert reservations() == {}

    def test_the_order_placed_first_is_served_first_whatever_the_order_of_the_call(self):
        make_product(1, on_hand=5)
        assert set(StockItem.objects.reserve(wanted=[Wanted(9, 1, 3), Wanted(8, 1, 3), Wanted(7, 1, 1)])) == {
            9
        }
        assert set(reservations()) == {7, 8}

    def test_units_are_left_to_those_ahead_who_could_have_them_now(self):
        make_product(1, on_hand=5)
        refused = StockItem.objects.reserve(wanted=[Wanted(9, 1, 3)], ahead=[Wanted(7, 1, 3)])
        assert refused == {9: [Shortage(product_id=1, wanted=3, available=2)]}
        assert reservations() == {}

    def test_and_nothing_to_those_who_could_not_or_who_come_later(self):
        make_product(1, on_hand=5)
        make_product(2, on_hand=0)
        ahead = [Wanted(6, 1, 6), Wanted(7, 1, 4), Wanted(7, 2, 1), Wanted(10, 1, 5)]
        assert StockItem.objects.reserve(wanted=[Wanted(9, 1, 3)], ahead=ahead) == {}
        assert reservations() == {9: {1: 3}}

    def test_one_ahead_that_has_its_units_by_now_gets_no_others(self):
        make_product(1, on_hand=5)
        StockItem.objects.reserve(wanted=[Wanted(7, 1, 2)])
        assert StockItem.objects.reserve(wanted=[Wanted(9, 1, 3)], ahead=[Wanted(7, 1, 2)]) == {}
        assert reservations() == {7: {1: 2}, 9: {1: 3}}

    def test_a_refused_order_takes_nothing_from_those_behind_it(self):
        make_product(1, on_hand=5)
        assert set(StockItem.objects.reserve(wanted=[Wanted(1, 1, 6), Wanted(2, 1, 5)])) == {1}
        assert reservations() == {2: {1: 5}}

    def test_a_product_without_a_stock_row_has_none_available(self):
        make_product(1, on_hand=None)
        assert StockItem.objects.reserve(wanted=[Wanted(1, 1, 1), Wanted(2, 99, 1)]) == {
            1: [Shortage(1, 1, 0)],
            2: [Shortage(99, 1, 0)],
        }

    def test_lines_of_the_same_product_count_together(self):
        make_product(1, on_hand=5)
        assert StockItem.objects.reserve(wanted=[Wanted(1, 1, 3), Wanted(1, 1, 3)]) == {
            1: [Shortage(1, 6, 5)]
        }
        assert StockItem.objects.reserve(wanted=[Wanted(2, 1, 3), Wanted(2, 1, 2)]) == {}
        assert reservations() == {2: {1: 5}}

    def test_reserving_twice_holds_the_units_once(self):
        make_product(1, on_hand=5)
        for _ in range(2):
            assert StockItem.objects.reserve(wanted=[Wanted(1, 1, 5)]) == {}
        assert units(1) == (5, 5, 0)

    def test_nothing_wanted_is_nothing_done(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert StockItem.objects.reserve(wanted=[]) == {}

    def test_a_large_batch_shares_its_products(self):
        for number in range(1, 41):
            make_product(number, on_hand=1000)
        wanted = [Wanted(order, 1 + (order + n) % 40, 1) for order in range(500) for n in range(3)]
        assert StockItem.objects.reserve(wanted=wanted) == {}
        assert reserved_equals_reservations()


@pytest.mark.django_db
class TestRelease:
    def test_it_gives_the_units_back(self):
        make_product(1, on_hand=10)
        make_product(2, on_hand=10)
        StockItem.objects.reserve(wanted=[Wanted(7, 1, 4), Wanted(7, 2, 1), Wanted(8, 1, 2), Wanted(9, 2, 3)])
        StockItem.objects.release(order_ids=[7, 8])
        assert units(1) == (10, 0, 0)
        assert units(2) == (10, 3, 0)
        assert reservations() == {9: {2: 3}}

    def test_releasing_twice_gives_back_once(self):
        make_product(1, on_hand=10)
        StockItem.objects.reserve(wanted=[Wanted(7, 1, 4), Wanted(8, 1, 5)])
        for _ in range(2):
            StockItem.objects.release(order_ids=[7])
        assert units(1) == (10, 5, 0)

    def test_units_of_a_line_are_released_in_part_or_in_whole(self):
        make_product(1, on_hand=10)
        make_product(2, on_hand=10)
        StockItem.objects.reserve(wanted=[Wanted(7, 1, 4), Wanted(7, 2, 1), Wanted(8, 1, 2)])
        StockItem.objects.release_units(lines=[Wanted(7, 1, 3), Wanted(7, 2, 1)])
        assert units(1) == (10, 3, 0)
        assert units(2) == (10, 0, 0)
        assert reservations() == {7: {1: 1}, 8: {1: 2}}

    def test_an_order_that_holds_nothing_is_fine(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            StockItem.objects.release(order_ids=[7])
        StockItem.objects.release(order_ids=[])


@pytest.mark.django_db
class TestSell:
    def test_the_units_leave_the_warehouse(self):
        make_product(1, on_hand=10)
        StockItem.objects.reserve(wanted=[Wanted(7, 1, 4), Wanted(8, 1, 2)])
        StockItem.objects.sell(order_ids=[7])
        assert units(1) == (6, 2, 4)
        assert reservations() == {8: {1: 2}}

    def test_selling_twice_sells_once(self):
        make_product(1, on_hand=10)
        StockItem.objects.reserve(wanted=[Wanted(7, 1, 4)])
        for _ in range(2):
            StockItem.objects.sell(order_ids=[7])
        StockItem.objects.release(order_ids=[7])
        assert units(1) == (6, 0, 4)

    def test_sold_goods_can_come_back(self):
        make_product(1, on_hand=10)
        make_product(2, on_hand=10)
        lines = [Wanted(7, 1, 4), Wanted(7, 2, 1), Wanted(8, 1, 2)]
        StockItem.objects.reserve(wanted=lines)
        StockItem.objects.sell(order_ids=[7, 8])
        StockItem.objects.take_back(lines=lines[:2])
        assert units(1) == (8, 0, 2)
        assert units(2) == (10, 0, 0)

    def test_no_more_can_come_back_than_was_sold(self):
        make_product(1, on_hand=10, sold=3)
        with pytest.raises(DatabaseError), transaction.atomic():
            StockItem.objects.take_back(lines=[Wanted(7, 1, 4)])
        assert units(1) == (10, 0, 3)


@pytest.mark.django_db
class TestAdjust:
    def test_it_adds_units_and_records_who_and_why(self):
        make_product(1, on_hand=10, reserved=2)
        change = StockItem.objects.adjust(
            product_id=1, by=5, reason="found in the cellar", made_by="ann", source=STAFF
        )
        assert units(1) == (15, 2, 0)
        assert (change.wanted, change.applied, change.on_hand_after) == (5, 5, 15)
        assert (change.reason, change.made_by, change.source) == ("found in the cellar", "ann", "staff")
        assert StockChange.objects.get() == change

    def test_staff_cannot_take_what_orders_have_reserved(self):
        make_product(1, on_hand=10, reserved=8)
        with pytest.raises(NotEnoughFree, match="Only 2 units of product 1 are free") as refusal:
            StockItem.objects.adjust(product_id=1, by=-3, reason="broken", made_by="ann", source=STAFF)
        assert refusal.value.available == 2
        assert units(1) == (10, 8, 0)
        assert not StockChange.objects.exists()

    def test_staff_can_take_all_that_is_free(self):
        make_product(1, on_hand=10, reserved=8)
        StockItem.objects.adjust(product_id=1, by=-2, reason="broken", made_by="ann", source=STAFF)
        assert units(1) == (8, 8, 0)

    def test_the_sync_takes_what_it_can_and_records_what_it_wanted(self):
        make_product(1, on_hand=10, reserved=8)
        change = StockItem.objects.adjust(product_id=1, by=-3, reason="", source=SYNC)
        assert units(1) == (8, 8, 0)
        assert (change.wanted, change.applied) == (-3, -2)

    def test_an_unknown_product_has_no_stock_to_adjust(self):
        with pytest.raises(NoStock, match="product 99"):
            StockItem.objects.adjust(product_id=99, by=1, reason="", source=STAFF)


@pytest.mark.django_db
class TestOpen:
    def test_a_product_starts_with_no_units_and_keeps_those_that_it_has(self):
        make_product(1, on_hand=None)
        make_product(2, on_hand=5)
        StockItem.objects.open_stock(product_ids=[1, 2])
        assert (units(1), units(2)) == ((0, 0, 0), (5, 0, 0))

    def test_the_reorder_level_is_set_of_one_product(self):
        make_product(1)
        make_product(2)
        StockItem.objects.set_reorder_level(product_id=2, level=3)
        assert dict(StockItem.objects.values_list("product_id", "reorder_level")) == {1: 10, 2: 3}


def one_by_one(on_hand: dict[int, int], wanted: Sequence[Wanted]) -> dict[int, dict[int, int]]:
    """Serve the orders one after the other, the plain way: what `reserve` must come to for any batch."""
    left, served = dict(on_hand), {}
    for order_id in sorted({line.order_id for line in wanted}):
        needed: dict[int, int] = {}
        for line in wanted:
            if line.order_id == order_id:
                needed[line.product_id] = needed.get(line.product_id, 0) + line.quantity
        if all(left.get(product_id, 0) >= quantity for product_id, quantity in needed.items()):
            served[order_id] = needed
            for product_id, quantity in needed.items():
                left[product_id] -= quantity
    return served


WANTED = st.builds(Wanted, st.integers(1, 12), st.integers(1, 5), st.integers(1, 6))


class TestAgainstOneByOne(TestCase):
    """For any stock, any lines and any cut into batches, the outcome is that of one order at a time."""

    @settings(max_examples=60, deadline=None)
    @given(
        on_hand=st.dictionaries(st.integers(1, 5), st.integers(0, 12)),
        wanted=st.lists(WANTED, max_size=40),
        cut=st.integers(0, 12),
    )
    def test_batches_come_to_the_same_as_one_order_at_a_time(self, on_hand, wanted, cut):
        for number, quantity in on_hand.items():
            make_product(number, on_hand=quantity)
        first = [line for line in wanted if line.order_id <= cut]
        second = [line for line in wanted if line.order_id > cut]
        refused = StockItem.objects.reserve(wanted=first) | StockItem.objects.reserve(wanted=second)
        served = one_by_one(on_hand, wanted)
        assert reservations() == served
        assert set(refused) == {line.order_id for line in wanted} - set(served)
        assert reserved_equals_reservations()


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """Real threads, each with a connection of its own, against the same rows."""

    def test_many_batches_never_oversell_a_hot_product(self):
        make_product(1, on_hand=100)
        batches = [[Wanted(n * 50 + order, 1, 1 + order % 3) for order in range(50)] for n in range(8)]
        refusals = at_once(
            partial(in_transaction, StockItem.objects.reserve, wanted=batch) for batch in batches
        )
        assert units(1) == (100, 100, 0)
        assert reserved_equals_reservations()
        assert len(reservations()) + sum(map(len, refusals)) == 400

    def test_the_same_batch_in_many_hands_is_reserved_once(self):
        make_product(1, on_hand=30)
        make_product(2, on_hand=30)
        batch = [Wanted(order, product, 1) for order in range(1, 31) for product in (1, 2)]
        assert at_once([partial(in_transaction, StockItem.objects.reserve, wanted=batch)] * 6) == [{}] * 6
        assert units(1) == units(2) == (30, 30, 0)

    def test_batches_that_want_the_same_products_in_opposite_order_do_not_deadlock(self):
        for number in range(1, 21):
            make_product(number, on_hand=10_000)

        def keep_reserving(worker: int) -> None:
            products = list(range(1, 21))
            for turn in range(10):
                products.reverse()
                first = (worker * 10 + turn) * 10
                in_transaction(
                    StockItem.objects.reserve,
                    wanted=[Wanted(first + n, p, 1) for n in range(10) for p in products],
                )

        at_once(partial(keep_reserving, worker) for worker in range(6))
        assert units(1) == units(20) == (10_000, 600, 0)
        assert reserved_equals_reservations()

    @pytest.mark.parametrize("change", ["release_units", "take_back"])
    def test_parts_of_orders_with_the_same_products_in_opposite_order_do_not_deadlock(self, change):
        products = list(range(1, 21))
        for number in products:
            make_product(number, on_hand=600, sold=600)
        workers = range(1, 7)
        wanted = [Wanted(worker, number, 11) for worker in workers for number in products]
        in_transaction(StockItem.objects.reserve, wanted=wanted)

        def keep_changing(worker: int) -> None:
            lines = [Wanted(worker, number, 1) for number in products]
            for _ in range(10):
                lines.reverse()
                in_transaction(getattr(StockItem.objects, change), lines=lines)

        at_once(partial(keep_changing, worker) for worker in workers)
        expected = (600, 6, 600) if change == "release_units" else (660, 66, 540)
        assert units(1) == units(20) == expected

    def test_everything_at_once_leaves_every_unit_accounted_for(self):
        for number in range(1, 6):
            make_product(number, on_hand=200)

        def muddle(worker: int) -> None:
            chance = random.Random(worker)
            for _ in range(25):
                orders = chance.sample(range(1, 41), 8)
                if chance.random() < 0.5:
                    wanted = [
                        Wanted(o, p, 1 + (o + p) % 4) for o in orders for p in range(1, 6) if (o + p) % 2
                    ]
                    in_transaction(StockItem.objects.reserve, wanted=wanted)
                else:
                    in_transaction(
                        chance.choice([StockItem.objects.release, StockItem.objects.sell]), order_ids=orders
                    )

        at_once(partial(muddle, worker) for worker in range(6))
        assert reserved_equals_reservations()
        assert {item.on_hand + item.sold for item in StockItem.objects.all()} == {200}

    def test_releasing_in_many_hands_gives_back_once(self):
        make_product(1, on_hand=30)
        in_transaction(StockItem.objects.reserve, wanted=[Wanted(order, 1, 2) for order in range(1, 11)])
        at_once([partial(in_transaction, StockItem.objects.release, order_ids=range(1, 6))] * 6)
        assert units(1) == (30, 10, 0)
        assert Reservation.objects.count() == 5

    def test_a_count_is_compared_with_the_stock_that_a_concurrent_change_leaves(self):
        make_product(1, on_hand=10)
        count = {"received": {1: 20}, "reason": "warehouse count", "now": database_now()}
        with ThreadPoolExecutor(1) as threads:
            with transaction.atomic():
                StockItem.objects.adjust(product_id=1, by=5, reason="found", source=SYNC)
                job = partial(in_transaction, StockItem.objects.take_over, **count)
                counted = threads.submit(at_once, [job])
                until(someone_waits_for_us)
            counted.result()
        assert units(1) == (20, 0, 0)

    def test_adjusting_at_once_never_takes_what_is_reserved(self):
        make_product(1, on_hand=10, reserved=5)

        def take_two() -> bool:
            try:
                in_transaction(
                    StockItem.objects.adjust, product_id=1, by=-2, reason="lost", made_by="ann", source=STAFF
                )
            except NotEnoughFree:
                return False
            return True

        assert sum(map(bool, at_once([take_two] * 5))) == 2
        assert units(1) == (6, 5, 0)
        assert Product.objects.get().stock_changes.count() == 2
