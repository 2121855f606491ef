"""Loads a catalogue from CSV; existing products keep their edits."""

import csv
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from django.db import connection, transaction

from inventory.listing_cache import forget_listings
from inventory.models import Product, StockItem
from iso.currencies import rounded

CATALOGUE = Path(__file__).parent / "catalogue.csv"

# Explicit ids do not advance the sequence.
CATCH_UP = """
SELECT setval(counter, greatest(nextval(counter), (SELECT max(id) FROM inventory_product)))
FROM pg_get_serial_sequence('inventory_product', 'id') AS counter
"""


def load_catalogue(path: Path = CATALOGUE, *, currency: str) -> int:
    """Add missing products with initial stock. Return how many.

    Columns: id, sku, name, category, description, price (in `currency`), weight_grams, stock, and optionally
    `active` (0 or 1).
    """
    with path.open(newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    with transaction.atomic():
        before = Product.objects.count()
        Product.objects.bulk_create((_product(row, currency) for row in listed), ignore_conflicts=True)
        _add_first_stock(listed)
        added = Product.objects.count() - before
        if added:
            _catch_up_with_ids()
            forget_listings()
    return added


def _product(row: Mapping[str, str], currency: str) -> Product:
    return Product(
        id=int(row["id"]),
        sku=row["sku"],
        name=row["name"],
        category=row["category"],
        description=row["description"],
        price=rounded(Decimal(row["price"]), currency),
        currency=currency,
        weight_grams=int(row["weight_grams"]),
        active=row.get("active", "1") == "1",
    )


def _add_first_stock(listed: Sequence[Mapping[str, str]]) -> None:
    first = {row["sku"]: int(row["stock"]) for row in listed}
    without = Product.objects.filter(sku__in=first, stock=None)
    items = [StockItem(product=product, on_hand=first[product.sku]) for product in without]
    StockItem.objects.bulk_create(items, ignore_conflicts=True)


def _catch_up_with_ids() -> None:
    with connection.cursor() as cursor:
        cursor.execute(CATCH_UP)
