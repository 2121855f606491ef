"""What can be ordered, and at which price: the questions that the rest of the shop asks of the products."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

LARGEST_ID = 2**63 - 1

FIND = """
SELECT id, sku, name, price, currency, weight_grams, active FROM inventory_product
WHERE id = ANY(%s::bigint[]) OR sku = ANY(%s::text[]) OR name = ANY(%s::text[])
"""


@dataclass(frozen=True, slots=True)
class ProductInfo:
    """A product as an order line needs to know it. Only an active one can be ordered."""

    id: int
    sku: str
    name: str
    price: Decimal
    currency: str
    weight_grams: int
    active: bool


def find_products(
    *, ids: Collection[int] = (), skus: Collection[str] = (), names: Collection[str] = ()
) -> list[ProductInfo]:
    """Return the products that carry one of the ids, SKUs or (exact) names, retired ones included.

    One statement. What is not found is simply absent; what no product can be called is not looked for.
    """
    possible_ids = [product_id for product_id in ids if 0 < product_id <= LARGEST_ID]
    with connection.cursor() as cursor:
        cursor.execute(FIND, [possible_ids, _storable(skus), _storable(names)])
        return [ProductInfo(*row) for row in cursor.fetchall()]


def _storable(texts: Collection[str]) -> list[str]:
    # PostgreSQL refuses NUL in a text, so nothing stored can match one.
    return [text for text in texts if "\0" not in text]
