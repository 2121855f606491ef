"""A bulk waits for itself: single orders, and bulks of other owners, are claimed beside it."""

import pytest

from orders import batches
from orders.managers import BULK_LANES
from orders.models import Batch, Journey, Order
from orders.placing import bulk
from orders.placing.pricing import NewOrder, WantedLine
from orders.reporting import stats
from tests.factories import make_order, make_product, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def place_in_bulk(owner_id: int, count: int, *, chunk: int = 1000) -> None:
    product = make_product()
    new = NewOrder(
        owner_id=owner_id,
        customer_name="Alice",
        lines=[WantedLine(quantity=1, product_id=product.pk)],
        currency="USD",
        country="US",
        payment_token="tok_demo",
    )
    for start in range(0, count, chunk):
        entries = [bulk.Entry(new)] * min(chunk, count - start)
        bulk.place_orders(entries=entries, owner_id=owner_id)


def claimed_first() -> list[int]:
    return [order_id for claimed in batches.claim() for order_id in claimed.order_ids]


def test_a_single_order_placed_after_thousands_in_bulk_is_in_the_first_batch(settings):
    settings.BATCH_SIZE = 500
    owner = make_user()
    place_in_bulk(owner.pk, 5000)
    live = make_order((make_product(), 1), owner=owner)
    first, second = batches.claim()
    assert first.order_ids == [live.order_id], "in a batch of its own, which is small"
    assert len(second.order_ids) == 499
    assert list(Batch.objects.order_by("pk").values_list("is_bulk", flat=True)) == [False, True]


def test_one_batch_of_single_orders_leaves_beside_bulks_that_fill_the_limit(settings, monkeypatch):
    monkeypatch.setattr(batches, "FRESH_SECONDS", 0.0)
    settings.BATCH_SIZE, settings.MAX_CONCURRENT_BATCHES = 10, 2
    owner = make_user()
    place_in_bulk(owner.pk, 100)
    assert [len(claimed_first()) for _ in range(3)] == [10, 10, 0]
    live = make_order((make_product(), 1), owner=owner)
    assert claimed_first() == [live.order_id]
    make_order((make_product(), 1), owner=owner)
    assert claimed_first() == []


def test_single_orders_that_fill_the_limit_wait_for_each_other(settings, monkeypatch):
    monkeypatch.setattr(batches, "FRESH_SECONDS", 0.0)
    settings.MAX_CONCURRENT_BATCHES = 1
    make_order((make_product(), 1))
    assert len(claimed_first()) == 1
    make_order((make_product(), 1))
    assert claimed_first() == []


def test_bulks_of_two_owners_share_each_batch_and_keep_their_order(settings):
    settings.BATCH_SIZE = 100
    one = make_user().pk
    other = one + 1
    place_in_bulk(one, 300, chunk=60)
    place_in_bulk(other, 30, chunk=10)
    first = claimed_first()
    orders = Order.objects.order_by("pk")
    assert first == sorted(
        [order.pk for order in orders.filter(owner_id=one)[:70]]
        + [o.pk for o in orders.filter(owner_id=other)]
    )


def test_the_oldest_order_due_is_found_in_any_lane():
    make_order((make_product(), 1))
    place_in_bulk(make_user().pk, 1)
    oldest = Order.objects.latest("pk")
    Journey.objects.filter(pk=oldest.pk).update(due_at="2020-01-01T00:00Z")
    assert stats.backlog().oldest_order == oldest.number


def test_each_owner_has_one_lane_for_bulks():
    place_in_bulk(2 * BULK_LANES + 3, 1)
    place_in_bulk(2 * BULK_LANES + 4, 1)
    make_order((make_product(), 1))
    assert list(Journey.objects.order_by("pk").values_list("lane", flat=True)) == [4, 5, 0]
