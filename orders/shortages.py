"""Shortages that may pass: units are there, but orders that are not paid hold them.

Such an order may yet lose its units (its card is declined, it is cancelled), so a shortage that it causes is no reason
to refuse others: they queue for the units, for `STOCK_WAIT_SECONDS` at most. What cannot be served even if all unpaid
orders went away is refused at once. The queue is in order of placement: an order takes no units that an earlier one in
the queue can have now. A queued order that cannot be served from what is free holds up nobody behind it, so an order
for many units may see smaller ones pass, until its time is up.

The payment leg does not wait: a card that is declined leaves the queue at once. What is authorized is captured only
after the units are held, and let go when the wait ends in a refusal.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction

from database.arrays import numbers
from database.prepared import execute
from inventory.stock import Shortage, Wanted
from orders import wakeup
from orders.workflow import Wait

POLL_SECONDS = 0.2
# Each look takes the longer, the more orders are under way: at most this share of a dispatcher's time goes into it.
SHARE_OF_TIME = 0.1
# Queued orders that are considered together, the first in the queue.
MOST_AHEAD = 1000

# Of the queue only the orders that share a product with the batch, each with all of its lines; their ids are negated,
# which costs the reader of thousands of lines less than a column that tells them apart. Nearly always the
# queue is empty, and its part of the statement one look into an empty index.
WANTED = """
    WITH own AS MATERIALIZED (
        SELECT order_id, product_id, quantity FROM orders_orderline WHERE order_id = ANY(%(order_ids)s::bigint[])
    ), queue AS MATERIALIZED (
        SELECT order_id FROM orders_journey
        WHERE stock = 'short' AND due_at IS NOT NULL AND order_id < %(last)s::bigint
        ORDER BY order_id LIMIT %(most)s::int
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
"""

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

OUT_OF_PATIENCE = """
    SELECT order_id FROM orders_orderevent
    WHERE order_id = ANY(%s::bigint[]) AND type = 'order_waiting' AND data->>'waiting_for' = %s
    GROUP BY order_id HAVING min(at) <= now() - %s::float8 * interval '1 second'
"""

QUEUE = """
    WITH queue AS MATERIALIZED (
        SELECT order_id, due_at <= now() OR batch_id IS NOT NULL AS is_coming FROM orders_journey
        WHERE stock = 'short' AND due_at IS NOT NULL ORDER BY order_id LIMIT %s::int
    )
    SELECT line.*, queue.is_coming FROM queue CROSS JOIN LATERAL (
        SELECT order_id, product_id, quantity FROM orders_orderline line WHERE line.order_id = queue.order_id OFFSET 0
    ) line ORDER BY line.order_id
"""

WAKE = """
    UPDATE orders_journey j SET due_at = now() FROM (
        SELECT order_id FROM orders_journey
        WHERE order_id = ANY(%s::bigint[]) AND stock = 'short' AND batch_id IS NULL AND due_at > now()
        ORDER BY order_id FOR UPDATE SKIP LOCKED
    ) asleep WHERE j.order_id = asleep.order_id
"""


class Units(NamedTuple):
    """Units of a product: free now, and free if every order that is not paid lost what it holds."""

    free: int
    reachable: int


NO_UNITS = Units(0, 0)


def wanted(order_ids: Sequence[int]) -> tuple[list[Wanted], list[Wanted]]:
    """Return what the orders want of each product, and what orders want that queue ahead of the last of them."""
    if not order_ids:
        return [], []
    parameters = {"order_ids": numbers(order_ids), "last": max(order_ids), "most": MOST_AHEAD}
    lines = [Wanted(*row) for row in execute(WANTED, parameters)]
    ahead = [Wanted(-line.order_id, line.product_id, line.quantity) for line in lines if line.order_id < 0]
    return ([line for line in lines if line.order_id > 0], ahead) if ahead else (lines, [])


def units(product_ids: Collection[int]) -> dict[int, Units]:
    """Return the units of each product that orders may have now, and may come to have."""
    parameters = {"product_ids": numbers(sorted(product_ids))}
    return {product_id: Units(*found) for product_id, *found in execute(REACHABLE, parameters)}


def passing(shortages: Mapping[int, Sequence[Shortage]], queued: Collection[int]) -> set[int]:
    """Return the orders whose shortage may pass. Those of them that are `queued` already must have time left.

    To be asked under the lock of the products' stock.
    """
    if not shortages or not settings.STOCK_WAIT_SECONDS:
        return set()
    found = units({shortage.product_id for missing in shortages.values() for shortage in missing})
    hopeful = {
        order_id
        for order_id, missing in shortages.items()
        if all(each.wanted <= found.get(each.product_id, NO_UNITS).reachable for each in missing)
    }
    return hopeful - _out_of_patience(hopeful.intersection(queued))


def _out_of_patience(order_ids: Collection[int]) -> set[int]:
    if not order_ids:
        return set()
    parameters = [numbers(sorted(order_ids)), Wait.STOCK.value, settings.STOCK_WAIT_SECONDS]
    return {order_id for (order_id,) in execute(OUT_OF_PATIENCE, parameters)}


# --- Woken when their units are free ----------------------------------------------------------------------


class StockWatch:
    """One dispatcher's eye on the queue for units."""

    def __init__(self) -> None:
        self._next_look = 0.0

    def look(self) -> None:
        """Have queued orders tried again whose units are free, or are out of reach by now."""
        began = time.monotonic()
        if began < self._next_look:
            return
        wake()
        ended = time.monotonic()
        self._next_look = ended + max(POLL_SECONDS, (ended - began) / SHARE_OF_TIME)


def wake() -> int:
    """Make queued orders due whose units are free, the first first, or are out of reach. Return how many."""
    queue = _queue()
    if not queue:
        return 0
    found = units({product_id for lines, _ in queue.values() for product_id in lines})
    woken = _decided(queue, found)
    return _make_due(woken) if woken else 0


Queue = dict[
    int, tuple[dict[int, int], bool]
]  # order: units of each product, and whether it is tried soon anyway


def _decided(queue: Queue, found: Mapping[int, Units]) -> list[int]:
    """Return the orders that a try would decide, and that are not about to be tried anyway."""
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
        queue.setdefault(order_id, ({}, is_coming))[0][product_id] = quantity
    return queue


def _make_due(order_ids: Collection[int]) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(WAKE, [numbers(order_ids)])
        woken = int(cursor.rowcount)
        if woken:
            wakeup.wake_dispatcher()
    return woken
