"""Temporary shortages: unpaid orders hold the units, and may yet release them.

Others queue for up to STOCK_WAIT_SECONDS, in order of placement; what exceeds even those units is refused at once.
An order that cannot be served blocks none behind it, so smaller ones may overtake a large one until it times out.
The payment leg does not wait, but capture does.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef

from database.arrays import numbers
from database.prepared import execute
from inventory.stock import Shortage, Wanted
from orders import wakeup
from orders.legs import STOCK
from orders.models import Journey, StockQueue

POLL_SECONDS = 0.2
# Polls get slower with load: at most this share of a dispatcher's time.
SHARE_OF_TIME = 0.1
# Queued orders considered at once.
MOST_AHEAD = 1000

# A row of the queue may outlast its wait.
WAITING = """
        FROM orders_stockqueue waiting CROSS JOIN LATERAL (
            SELECT due_at, batch_id FROM orders_journey journey
            WHERE journey.order_id = waiting.order_id AND stock = 'short' AND due_at IS NOT NULL OFFSET 0
        ) journey"""

# Reads queued orders that share a product with the batch, with negated ids: cheaper than another column for thousands
# of lines. The queue is nearly always empty.
WANTED = f"""
    WITH own AS MATERIALIZED (
        SELECT order_id, product_id, quantity FROM orders_orderline WHERE order_id = ANY(%(order_ids)s::bigint[])
    ), queue AS MATERIALIZED (
        SELECT waiting.order_id {WAITING} WHERE waiting.order_id < %(last)s::bigint
        ORDER BY waiting.order_id LIMIT %(most)s::int
    ), ahead AS (
        SELECT DISTINCT queue.order_id FROM queue CROSS JOIN LATERAL (
            SELECT product_id FROM orders_orderline line WHERE line.order_id = queue.order_id OFFSET 0
        ) line
        WHERE queue.order_id NOT IN (SELECT order_id FROM own)
          AND line.product_id = ANY ((SELECT array_agg(DISTINCT product_id) FROM own)::bigint[])
    )
    SELECT order_id, product_id, quantity FROM own
    UNION ALL
    SELECT -line.order_id, line.product_id, line.quantity FROM ahead CROSS JOIN LATERAL (
        SELECT order_id, product_id, quantity FROM orders_orderline line WHERE line.order_id = ahead.order_id OFFSET 0
    ) line
"""  # noqa: S608

REACHABLE = """
    WITH unpaid AS (
        SELECT held.product_id, sum(held.quantity) AS units
        FROM orders_journey j CROSS JOIN LATERAL (
            SELECT product_id, quantity FROM inventory_reservation r WHERE r.order_id = j.order_id OFFSET 0
        ) held
        WHERE j.status IN ('processing', 'cancelling') AND NOT j.status IN ('confirmed', 'completed')
          AND (j.status = 'cancelling' OR NOT j.payment = 'captured')
          AND held.product_id = ANY(%(product_ids)s::bigint[])
        GROUP BY held.product_id
    )
    SELECT s.product_id, s.on_hand - s.reserved, (s.on_hand - s.reserved + coalesce(unpaid.units, 0))::bigint
    FROM inventory_stockitem s LEFT JOIN unpaid USING (product_id)
    WHERE s.product_id = ANY(%(product_ids)s::bigint[])
"""

WAIT_EXPIRED = """
    SELECT order_id FROM orders_orderevent
    WHERE order_id = ANY(%s::bigint[]) AND type = 'order_waiting' AND data->>'waiting_for' = %s
    GROUP BY order_id HAVING min(at) <= now() - %s::float8 * interval '1 second'
"""

QUEUE = f"""
    WITH queue AS MATERIALIZED (
        SELECT waiting.order_id, due_at <= now() OR batch_id IS NOT NULL AS is_coming {WAITING}
        ORDER BY waiting.order_id LIMIT %s::int
    )
    SELECT line.*, queue.is_coming FROM queue CROSS JOIN LATERAL (
        SELECT order_id, product_id, quantity FROM orders_orderline line WHERE line.order_id = queue.order_id OFFSET 0
    ) line ORDER BY line.order_id
"""  # noqa: S608


class Units(NamedTuple):
    """Units free now, and free without all unpaid orders."""

    free: int
    reachable: int


NO_UNITS = Units(0, 0)


def wanted(order_ids: Sequence[int]) -> tuple[list[Wanted], list[Wanted]]:
    """Return the units of orders, and of queued orders ahead of them."""
    if not order_ids:
        return [], []
    parameters = {"order_ids": numbers(order_ids), "last": max(order_ids), "most": MOST_AHEAD}
    lines = [Wanted(*row) for row in execute(WANTED, parameters)]
    ahead = [Wanted(-line.order_id, line.product_id, line.quantity) for line in lines if line.order_id < 0]
    return ([line for line in lines if line.order_id > 0], ahead) if ahead else (lines, [])


def units(product_ids: Collection[int]) -> dict[int, Units]:
    parameters = {"product_ids": numbers(sorted(product_ids))}
    return {product_id: Units(*found) for product_id, *found in execute(REACHABLE, parameters)}


def passing(shortages: Mapping[int, Sequence[Shortage]], queued: Collection[int]) -> set[int]:
    """Return orders whose shortage is temporary and whose wait has not expired. Needs the stock's locks."""
    if not shortages or not settings.STOCK_WAIT_SECONDS:
        return set()
    found = units({shortage.product_id for missing in shortages.values() for shortage in missing})
    waiting = {
        order_id
        for order_id, missing in shortages.items()
        if all(each.wanted <= found.get(each.product_id, NO_UNITS).reachable for each in missing)
    }
    return waiting - _out_of_patience(waiting.intersection(queued))


def _out_of_patience(order_ids: Collection[int]) -> set[int]:
    if not order_ids:
        return set()
    parameters = [numbers(sorted(order_ids)), str(STOCK.UNITS_HELD), settings.STOCK_WAIT_SECONDS]
    return {order_id for (order_id,) in execute(WAIT_EXPIRED, parameters)}


def update_queue(*, waiting: Collection[int], was_waiting: Collection[int]) -> None:
    """Queue the orders that wait, and dequeue those that waited until now. Needs their locks."""
    if served := set(was_waiting).difference(waiting):
        StockQueue.objects.filter(order_id__in=served).delete()
    if waiting:
        rows = [StockQueue(order_id=order_id) for order_id in sorted(waiting)]
        StockQueue.objects.bulk_create(rows, ignore_conflicts=True)


def forget_served() -> int:
    """Delete what outlasted its wait, as of cancelled orders. Return how many."""
    waiting = Journey.objects.filter(order_id=OuterRef("order_id"), stock=STOCK.SHORT)
    return StockQueue.objects.exclude(Exists(waiting)).delete()[0]


# --- Wake-up ----------------------------------------------------------------------------------------------


class StockWatch:
    def __init__(self) -> None:
        self._next_poll = 0.0

    def look(self) -> None:
        began = time.monotonic()
        if began < self._next_poll:
            return
        wake()
        ended = time.monotonic()
        self._next_poll = ended + max(POLL_SECONDS, (ended - began) / SHARE_OF_TIME)


def wake() -> int:
    """Make orders due whose units are free or out of reach. Return how many."""
    queue = _queue()
    if not queue:
        return 0
    found = units({product_id for lines, _ in queue.values() for product_id in lines})
    woken = _decidable(queue, found)
    return _make_due(woken) if woken else 0


# By order id: units by product, and whether due anyway.
Queue = dict[int, tuple[dict[int, int], bool]]


def _decidable(queue: Queue, found: Mapping[int, Units]) -> list[int]:
    free = {product_id: each.free for product_id, each in found.items()}
    decided = []
    for order_id, (lines, is_coming) in queue.items():
        fits = all(quantity <= free.get(product_id, 0) for product_id, quantity in lines.items())
        if fits:
            for product_id, quantity in lines.items():
                free[product_id] -= quantity
        is_lost = any(quantity > found.get(id_, NO_UNITS).reachable for id_, quantity in lines.items())
        if (fits or is_lost) and not is_coming:
            decided.append(order_id)
    return decided


def _queue() -> Queue:
    queue: Queue = {}
    for order_id, product_id, quantity, is_coming in execute(QUEUE, [MOST_AHEAD]):
        lines, _ = queue.setdefault(order_id, ({}, is_coming))
        lines[product_id] = lines.get(product_id, 0) + quantity
    return queue


def _make_due(order_ids: Collection[int]) -> int:
    with transaction.atomic():
        woken = Journey.objects.wake_queued(order_ids)
        if woken:
            wakeup.wake_dispatcher()
    return woken
