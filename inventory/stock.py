"""Stock operations on many orders, in the caller's transaction.

Stock rows are locked first, by product id: concurrent batches wait but never deadlock, and what is read under
the lock stays true.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from database.arrays import numbers
from database.prepared import execute
from inventory.models import StockChange, StockItem


class Wanted(NamedTuple):
    """Units of a product for an order."""

    order_id: int
    product_id: int
    quantity: int


class Shortage(NamedTuple):
    """A refused order's line: it wanted more units than were left."""

    product_id: int
    wanted: int
    available: int


class Difference(NamedTuple):
    """A product's difference to the warehouse, and how much was applied."""

    product_id: int
    wanted: int
    applied: int


class NoStock(Exception):
    """The product does not exist or has no stock row."""

    def __init__(self, product_id: int) -> None:
        super().__init__(f"There is no stock of a product {product_id}.")
        self.product_id = product_id


class NotEnoughFree(Exception):
    """Too few unreserved units to remove."""

    def __init__(self, *, product_id: int, available: int) -> None:
        super().__init__(
            f"Only {available} units of product {product_id} are free; the others are reserved by orders."
        )
        self.product_id = product_id
        self.available = available


LOCK = """
SELECT product_id, on_hand - reserved FROM inventory_stockitem
WHERE product_id = ANY(%s::bigint[]) ORDER BY product_id FOR UPDATE
"""

HOLDERS = "SELECT DISTINCT order_id FROM inventory_reservation WHERE order_id = ANY(%s::bigint[])"

HELD = "SELECT order_id, product_id FROM inventory_reservation WHERE order_id = ANY(%s::bigint[])"

HOLD = """
WITH held AS (
    UPDATE inventory_stockitem AS stock SET reserved = stock.reserved + taken.quantity
    FROM unnest(%s::bigint[], %s::bigint[]) AS taken(product_id, quantity)
    WHERE stock.product_id = taken.product_id
)
INSERT INTO inventory_reservation (order_id, product_id, quantity)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[])
"""

# Acts only on rows this statement deletes, so a repeat does nothing.
CLOSED = """
WITH closed AS (
    DELETE FROM inventory_reservation WHERE order_id = ANY(%s::bigint[]) RETURNING product_id, quantity
), units AS (
    SELECT product_id, sum(quantity) AS quantity FROM closed GROUP BY product_id
)
UPDATE inventory_stockitem AS stock SET reserved = stock.reserved - units.quantity
"""
RELEASE = CLOSED + "FROM units WHERE stock.product_id = units.product_id"
SELL = (
    CLOSED
    + """, on_hand = stock.on_hand - units.quantity, sold = stock.sold + units.quantity
FROM units WHERE stock.product_id = units.product_id"""
)

TAKE_BACK = """
UPDATE inventory_stockitem AS stock
SET on_hand = stock.on_hand + back.quantity, sold = stock.sold - back.quantity
FROM unnest(%s::bigint[], %s::bigint[]) AS back(product_id, quantity)
WHERE stock.product_id = back.product_id
"""

# Deficits remove unreserved units only; a difference that stays is recorded once.
TAKE_OVER = """
WITH difference AS (
    SELECT stock.product_id, stock.on_hand,
        told.received - stock.on_hand - stock.sold AS wanted,
        greatest(told.received - stock.on_hand - stock.sold, stock.reserved - stock.on_hand) AS applied
    FROM inventory_stockitem AS stock
    JOIN unnest(%s::bigint[], %s::int[]) AS told(product_id, received) USING (product_id)
    WHERE told.received <> stock.on_hand + stock.sold
), corrected AS (
    UPDATE inventory_stockitem AS stock SET on_hand = stock.on_hand + difference.applied
    FROM difference WHERE stock.product_id = difference.product_id AND difference.applied <> 0
), recorded AS (
    INSERT INTO inventory_stockchange
        (product_id, source, wanted, applied, on_hand_after, reason, made_by, made_at)
    SELECT product_id, 'sync', wanted, applied, on_hand + applied, %s, '', %s
    FROM difference
    WHERE applied <> 0 OR NOT EXISTS (
        SELECT FROM inventory_stockchange AS latest
        WHERE latest.id = (SELECT max(id) FROM inventory_stockchange WHERE product_id = difference.product_id)
        AND latest.source = 'sync' AND latest.wanted = difference.wanted AND latest.applied = 0
    )
)
SELECT product_id, wanted, applied FROM difference ORDER BY product_id
"""


def reserve(*, wanted: Sequence[Wanted], ahead: Sequence[Wanted] = ()) -> dict[int, list[Shortage]]:
    """Reserve all lines of an order or none, in order of placement (ascending id).

    Units that orders of `ahead` could have now are left to them. Returns the shortages of refused orders; all
    others are reserved. Orders that hold stock are unchanged. The caller verifies that orders still want
    stock.
    """
    if not wanted:
        return {}
    contenders = [*wanted, *ahead]
    available = _lock(line.product_id for line in contenders)
    lines = _by_order(contenders)
    for order_id in _holders(lines):
        del lines[order_id]
    reserved, refused = _allocate(lines, available)
    if ahead:
        others = {line.order_id for line in ahead}
        reserved = [line for line in reserved if line.order_id not in others]
        refused = {order_id: short for order_id, short in refused.items() if order_id not in others}
    _hold(reserved)
    return refused


def release(*, order_ids: Collection[int]) -> None:
    """Release the orders' reservations."""
    _close(RELEASE, order_ids)


RELEASE_UNITS = """
WITH freed AS (
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS f(order_id, product_id, quantity)
), gone AS (
    DELETE FROM inventory_reservation AS r USING freed
    WHERE r.order_id = freed.order_id AND r.product_id = freed.product_id AND r.quantity = freed.quantity
), less AS (
    UPDATE inventory_reservation AS r SET quantity = r.quantity - freed.quantity FROM freed
    WHERE r.order_id = freed.order_id AND r.product_id = freed.product_id AND r.quantity > freed.quantity
)
UPDATE inventory_stockitem AS stock SET reserved = stock.reserved - freed.quantity
FROM freed WHERE stock.product_id = freed.product_id
"""


def release_units(*, lines: Sequence[Wanted]) -> None:
    """Release units of one order's reservations.

    Not idempotent: the caller records it in the same transaction, and has checked that they are reserved.
    """
    _lock(line.product_id for line in lines)
    columns = [
        numbers(line.order_id for line in lines),
        numbers(line.product_id for line in lines),
        numbers(line.quantity for line in lines),
    ]
    with connection.cursor() as cursor:
        cursor.execute(RELEASE_UNITS, columns)


def sell(*, order_ids: Collection[int]) -> None:
    """Mark the orders' reservations as sold."""
    _close(SELL, order_ids)


def take_back(*, lines: Sequence[Wanted]) -> None:
    """Return sold goods to stock.

    Not idempotent: the caller advances the order in the same transaction.
    """
    quantities = _units_by_product(lines)
    if quantities:
        _lock(quantities)
        with connection.cursor() as cursor:
            cursor.execute(TAKE_BACK, [numbers(quantities), numbers(quantities.values())])


def adjust(
    *, product_id: int, by: int, reason: str, made_by: str = "", source: StockChange.Source
) -> StockChange:
    """Adjust a product's stock, and record user and reason.

    Reserved units stay: staff get NotEnoughFree, the inventory sync removes what it can and records the rest.
    Raises NoStock.
    """
    item = StockItem.objects.select_for_update().filter(product_id=product_id).first()
    if item is None:
        raise NoStock(product_id)
    if by < -item.available and source != StockChange.Source.SYNC:
        raise NotEnoughFree(product_id=product_id, available=item.available)
    applied = max(by, -item.available)
    item.on_hand += applied
    item.save(update_fields=["on_hand"])
    return StockChange.objects.create(
        product_id=product_id,
        source=source,
        wanted=by,
        applied=applied,
        on_hand_after=item.on_hand,
        reason=reason,
        made_by=made_by,
    )


def take_over(*, received: Mapping[int, int], reason: str, now: datetime) -> list[Difference]:
    """Set stock on hand from the units ever received, by product id.

    Reserved units stay. Returns and records each difference (a lasting one only once).
    """
    _lock(received)
    product_ids, counts = list(received), list(received.values())
    with connection.cursor() as cursor:
        cursor.execute(TAKE_OVER, [product_ids, counts, reason, now])
        return [Difference(*row) for row in cursor.fetchall()]


def open_stock(*, product_ids: Collection[int]) -> None:
    """Create missing stock rows."""
    StockItem.objects.bulk_create((StockItem(product_id=p) for p in product_ids), ignore_conflicts=True)


def set_reorder_level(*, product_id: int, level: int) -> None:
    """Set a product's reorder level."""
    # The pipeline writes the other columns.
    StockItem.objects.filter(product_id=product_id).update(reorder_level=level)


def _lock(product_ids: Iterable[int]) -> dict[int, int]:
    """Lock the stock rows until the transaction ends. Return the available units."""
    return dict(execute(LOCK, [numbers(sorted(set(product_ids)))]))


def _by_order(wanted: Sequence[Wanted]) -> dict[int, dict[int, int]]:
    """Oldest order first."""
    orders: dict[int, dict[int, int]] = {}
    for order_id, product_id, quantity in sorted(wanted):
        products = orders.setdefault(order_id, {})
        products[product_id] = products.get(product_id, 0) + quantity
    return orders


def _units_by_product(lines: Iterable[Wanted]) -> dict[int, int]:
    units: dict[int, int] = {}
    for _, product_id, quantity in lines:
        units[product_id] = units.get(product_id, 0) + quantity
    return units


def _holders(order_ids: Collection[int]) -> list[int]:
    """Under the lock, none can start to hold."""
    return [order_id for (order_id,) in execute(HOLDERS, [numbers(order_ids)])]


def _allocate(
    orders: Mapping[int, Mapping[int, int]], available: dict[int, int]
) -> tuple[list[Wanted], dict[int, list[Shortage]]]:
    """Return reservations and refusals."""
    reserved: list[Wanted] = []
    refused: dict[int, list[Shortage]] = {}
    for order_id, products in orders.items():
        shortages = _shortages(products, available)
        if shortages:
            refused[order_id] = shortages
            continue
        for product_id, quantity in products.items():
            available[product_id] -= quantity
            reserved.append(Wanted(order_id, product_id, quantity))
    return reserved, refused


def _shortages(products: Mapping[int, int], available: Mapping[int, int]) -> list[Shortage]:
    return [
        Shortage(product_id, quantity, available.get(product_id, 0))
        for product_id, quantity in products.items()
        if quantity > available.get(product_id, 0)
    ]


def _hold(reserved: Sequence[Wanted]) -> None:
    if not reserved:
        return
    taken = _units_by_product(reserved)
    columns = [numbers(column) for column in zip(*reserved, strict=True)]
    execute(HOLD, [numbers(taken), numbers(taken.values()), *columns])


def _close(statement: str, order_ids: Collection[int]) -> None:
    """End current reservations, not those made concurrently."""
    with connection.cursor() as cursor:
        cursor.execute(HELD, [numbers(order_ids)])
        held = cursor.fetchall()
        if held:
            _lock(product_id for _, product_id in held)
            cursor.execute(statement, [numbers({order_id for order_id, _ in held})])
