"""What can be ordered, and at which price: the questions that the rest of the shop asks of the products."""

from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import connection

LARGEST_ID = 2**63 - 1

FIND = """
SELECT id, sku, name, price, currency, weight_grams, active, xmin || ' ' || ctid FROM inventory_product
WHERE id = ANY(%s::bigint[]) OR sku = ANY(%s::text[]) OR name = ANY(%s::text[])
"""


@dataclass(frozen=True, slots=True)
class ProductInfo:
    """A product as an order line needs to know it. Only an active one can be ordered.

    While the row's `version` is the same, so is all the rest; the statement that stores an order proves it.
    """

    id: int
    sku: str
    name: str
    price: Decimal
    currency: str
    weight_grams: int
    active: bool
    version: str = field(default="", compare=False)


def find_products(
    *, ids: Collection[int] = (), skus: Collection[str] = (), names: Collection[str] = ()
) -> list[ProductInfo]:
    """Return the products that carry one of the ids, SKUs or (exact) names, retired ones included.

    One statement. What is not found is simply absent; what no product can be called is not looked for.
    """
    possible_ids = [product_id for product_id in ids if 0 < product_id <= LARGEST_ID]
    with connection.cursor() as cursor:
        cursor.execute(FIND, [possible_ids, _storable(skus), _storable(names)])
        found = [ProductInfo(*row) for row in cursor.fetchall()]
    _remember(found)
    return found


# What this process has found so far.
MAX_CACHED = 10_000
_by_id: dict[int, ProductInfo] = {}
_by_sku: dict[str, ProductInfo] = {}
_by_name: dict[str, ProductInfo] = {}


def cached_products(
    *, ids: Collection[int] = (), skus: Collection[str] = (), names: Collection[str] = ()
) -> list[ProductInfo]:
    """Return what `find_products` once did, and ask only for what it has not found yet.

    A product may have changed since: whoever relies on one has to prove its version.
    """
    remembered = (*map(_by_id.get, ids), *map(_by_sku.get, skus), *map(_by_name.get, names))
    found = [product for product in remembered if product is not None]
    return found if len(found) == len(remembered) else find_products(ids=ids, skus=skus, names=names)


def _remember(products: list[ProductInfo]) -> None:
    if len(_by_id) > MAX_CACHED:
        for memory in (_by_id, _by_sku, _by_name):
            memory.clear()
    for product in products:
        _by_id[product.id] = _by_sku[product.sku] = _by_name[product.name] = product


def _storable(texts: Collection[str]) -> list[str]:
    # PostgreSQL refuses NUL in a text, so nothing stored can match one.
    return [text for text in texts if "\0" not in text]
