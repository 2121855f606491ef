"""Product lookup for orders."""

from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connection

from iso.currencies import rounded

LARGEST_ID = 2**63 - 1

FIND = """
SELECT id, sku, name, price, currency, weight_grams, active, catalogue_version FROM inventory_product
WHERE id = ANY(%s::bigint[]) OR sku = ANY(%s::text[]) OR name = ANY(%s::text[])
"""


@dataclass(frozen=True, slots=True)
class ProductInfo:
    """A product for order lines.

    The statement that stores an order checks the `version`, which proves the rest.
    """

    id: int
    sku: str
    name: str
    price: Decimal
    currency: str
    weight_grams: int
    active: bool
    version: int = field(default=0, compare=False)


def find_products(
    *, ids: Collection[int] = (), skus: Collection[str] = (), names: Collection[str] = ()
) -> list[ProductInfo]:
    """Return products by id, SKU or exact name, retired ones included, in one statement. Others are absent."""
    possible_ids = [product_id for product_id in ids if 0 < product_id <= LARGEST_ID]
    with connection.cursor() as cursor:
        cursor.execute(FIND, [possible_ids, _storable(skus), _storable(names)])
        found = [_product(*row) for row in cursor.fetchall()]
    _store(found)
    return found


def _product(product_id: int, sku: str, name: str, price: Decimal, currency: str, *more: Any) -> ProductInfo:
    # A price may be stored with more decimals than its currency has; no total may.
    return ProductInfo(product_id, sku, name, rounded(price, currency), currency, *more)


# This process's cache.
MAX_CACHED = 10_000
_by_id: dict[int, ProductInfo] = {}
_by_sku: dict[str, ProductInfo] = {}
_by_name: dict[str, ProductInfo] = {}


def cached_products(
    *, ids: Collection[int] = (), skus: Collection[str] = (), names: Collection[str] = ()
) -> list[ProductInfo]:
    """Like `find_products`, from the cache if it has all.

    Callers must verify the version: cached products may be stale.
    """
    cached = (*map(_by_id.get, ids), *map(_by_sku.get, skus), *map(_by_name.get, names))
    found = [product for product in cached if product is not None]
    return found if len(found) == len(cached) else find_products(ids=ids, skus=skus, names=names)


def _store(products: list[ProductInfo]) -> None:
    if len(_by_id) > MAX_CACHED:
        for index in (_by_id, _by_sku, _by_name):
            index.clear()
    for product in products:
        _by_id[product.id] = _by_sku[product.sku] = _by_name[product.name] = product


def _storable(texts: Collection[str]) -> list[str]:
    # PostgreSQL rejects NUL in text.
    return [text for text in texts if "\0" not in text]
