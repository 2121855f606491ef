"""The only doors to the tables of products and stock.

Stock rows are locked first, by product id: concurrent batches wait but never deadlock, and what is read under
the lock stays true.
"""

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import connection, models

from database.arrays import numbers
from database.prepared import execute
from inventory.stock import (
    ChangeSource,
    Difference,
    NoStock,
    NotEnoughFree,
    Shortage,
    Wanted,
    allocate,
    by_order,
    units_by_product,
)

if TYPE_CHECKING:
    from inventory.models import StockChange


def new_version() -> int:
    """Return a version that no row had before: writers need not know the last one."""
    return secrets.randbits(62)


class ProductQuerySet(models.QuerySet):
    """Products. Every write gives a new version, by which a stale price is detected."""

    def update(self, **values: Any) -> int:
        return super().update(**({"version": new_version()} | values))

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **options: Any) -> list[Any]:
        products = list(objs)
        if options.get("update_conflicts"):
            for product in products:
                product.version = new_version()
            options["update_fields"] = [*options["update_fields"], "version"]
        return super().bulk_create(products, *args, **options)


ProductManager = models.Manager.from_queryset(ProductQuerySet)

# OFFSET 0 forces a lookup per product: the planner would read the whole catalogue.
AS_PRICED = """
    SELECT p.id AS product_id, p.sku, p.name AS product_name, wanted.quantity, p.price AS unit_price
    FROM unnest(%(product_ids)s::bigint[], %(versions)s::bigint[], %(quantities)s::int[], %(prices)s::numeric[])
         AS wanted(product_id, version, quantity, price)
    CROSS JOIN LATERAL (SELECT * FROM inventory_product WHERE id = wanted.product_id OFFSET 0) p
    WHERE p.catalogue_version = wanted.version AND p.price = wanted.price
"""
# A price that the caller gave is not the catalogue's; another price of the product is another version.
AS_GIVEN = """
    SELECT p.id AS product_id, p.sku, p.name AS product_name, wanted.quantity, wanted.price AS unit_price,
        wanted.number, nullif(wanted.properties, 'null'::jsonb) AS properties
    FROM unnest(%(product_ids)s::bigint[], %(versions)s::bigint[], %(quantities)s::int[], %(prices)s::numeric[],
                %(numbers)s::int[], %(properties)s::jsonb[])
         AS wanted(product_id, version, quantity, price, number, properties)
    CROSS JOIN LATERAL (SELECT * FROM inventory_product WHERE id = wanted.product_id OFFSET 0) p
    WHERE p.catalogue_version = wanted.version
"""
WITH_NAMES = """
    SELECT wanted.order_id, p.id AS product_id, p.sku, p.name AS product_name, wanted.quantity, wanted.unit_price{more}
    FROM {lines} AS wanted JOIN inventory_product p ON p.id = wanted.product_id
"""

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

# Deficits remove unreserved units only; a difference that stays is recorded once.
TAKE_OVER = """
WITH difference AS (
    SELECT stock.product_id, stock.on_hand,
        counted.received - stock.on_hand - stock.sold AS wanted,
        greatest(counted.received - stock.on_hand - stock.sold, stock.reserved - stock.on_hand) AS applied
    FROM inventory_stockitem AS stock
    JOIN unnest(%s::bigint[], %s::int[]) AS counted(product_id, received) USING (product_id)
    WHERE counted.received <> stock.on_hand + stock.sold
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


class StockItemManager(models.Manager):
    """Stock, changed in the caller's transaction."""

    def reserve(self, *, wanted: Sequence[Wanted], ahead: Sequence[Wanted] = ()) -> dict[int, list[Shortage]]:
        """Reserve all lines of an order or none, in order of placement; return the shortages.

        The caller verifies that orders still want stock.
        """
        if not wanted:
            return {}
        contenders = [*wanted, *ahead]
        available = self._lock(line.product_id for line in contenders)
        lines = by_order(contenders)
        for order_id in self._holders(lines):
            del lines[order_id]
        reserved, refused = allocate(lines, available)
        if ahead:
            others = {line.order_id for line in ahead}
            reserved = [line for line in reserved if line.order_id not in others]
            refused = {order_id: short for order_id, short in refused.items() if order_id not in others}
        self._hold(reserved)
        return refused

    def release(self, *, order_ids: Collection[int]) -> None:
        self._close(RELEASE, order_ids)

    def sell(self, *, order_ids: Collection[int]) -> None:
        self._close(SELL, order_ids)

    def release_units(self, *, lines: Sequence[Wanted]) -> None:
        """Release units of one order's reservations.

        Not idempotent: the caller records it in the same transaction.
        """
        self._lock(line.product_id for line in lines)
        columns = [numbers(column) for column in zip(*lines, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(RELEASE_UNITS, columns)

    def take_back(self, *, lines: Sequence[Wanted]) -> None:
        """Return sold goods to stock. Not idempotent: the caller advances the order in the same transaction."""
        quantities = units_by_product(lines)
        if quantities:
            self._lock(quantities)
            with connection.cursor() as cursor:
                cursor.execute(TAKE_BACK, [numbers(quantities), numbers(quantities.values())])

    def adjust(
        self, *, product_id: int, by: int, reason: str, made_by: str = "", source: ChangeSource
    ) -> "StockChange":
        """Adjust a product's stock. Raises NoStock, and NotEnoughFree for staff who would remove reserved units."""
        item: Any = self.select_for_update().filter(product_id=product_id).first()
        if item is None:
            raise NoStock(product_id)
        if by < -item.available and source != ChangeSource.SYNC:
            raise NotEnoughFree(product_id=product_id, available=item.available)
        applied = max(by, -item.available)
        item.on_hand += applied
        item.save(update_fields=["on_hand"])
        changes = self.model._meta.apps.get_model("inventory", "StockChange")
        return changes._default_manager.create(
            product_id=product_id,
            source=source,
            wanted=by,
            applied=applied,
            on_hand_after=item.on_hand,
            reason=reason,
            made_by=made_by,
        )

    def take_over(self, *, received: Mapping[int, int], reason: str, now: datetime) -> list[Difference]:
        """Set stock on hand from the units ever received, by product id. Reserved units stay."""
        self._lock(received)
        product_ids, counts = list(received), list(received.values())
        with connection.cursor() as cursor:
            cursor.execute(TAKE_OVER, [product_ids, counts, reason, now])
            return [Difference(*row) for row in cursor.fetchall()]

    def open_stock(self, *, product_ids: Collection[int]) -> None:
        self.bulk_create((self.model(product_id=p) for p in product_ids), ignore_conflicts=True)

    def set_reorder_level(self, *, product_id: int, level: int) -> None:
        # The pipeline writes the other columns.
        self.filter(product_id=product_id).update(reorder_level=level)

    def _lock(self, product_ids: Iterable[int]) -> dict[int, int]:
        """Lock the stock rows until the transaction ends. Return the available units."""
        return dict(execute(LOCK, [numbers(sorted(set(product_ids)))]))

    def _holders(self, order_ids: Collection[int]) -> list[int]:
        """Under the lock, none can start to hold."""
        return [order_id for (order_id,) in execute(HOLDERS, [numbers(order_ids)])]

    def _hold(self, reserved: Sequence[Wanted]) -> None:
        if not reserved:
            return
        taken = units_by_product(reserved)
        columns = [numbers(column) for column in zip(*reserved, strict=True)]
        execute(HOLD, [numbers(taken), numbers(taken.values()), *columns])

    def _close(self, statement: str, order_ids: Collection[int]) -> None:
        """End current reservations, not those made concurrently."""
        with connection.cursor() as cursor:
            cursor.execute(HELD, [numbers(order_ids)])
            held = cursor.fetchall()
            if held:
                self._lock(product_id for _, product_id in held)
                cursor.execute(statement, [numbers({order_id for order_id, _ in held})])
