"""Products with their units, as the API lists them."""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet

from database.text import composed
from inventory.catalogue import LARGEST_ID
from inventory.listing_cache import remembered
from inventory.models import Product, StockChange, StockItem

# Fewer units can be ordered than the product's reorder level says.
RUNS_LOW = Q(stock__on_hand__lt=F("stock__reserved") + F("stock__reorder_level"))


class ProductNotFound(Exception):
    """No product that the asker may see has this id or SKU."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"There is no product {reference}.")
        self.reference = reference


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which products to list."""

    search: str = ""  # in the SKU, the name or the description
    category: str = ""
    in_stock: bool | None = None  # None: either
    runs_low: bool = False  # only what is about to run out
    retired_too: bool = False  # staff also see what can no longer be ordered


@dataclass(frozen=True, kw_only=True)
class Page:
    """Where a page starts, and how long it is at most."""

    after: int = 0
    size: int = 50


def list_products(*, filters: Filters, page: Page) -> tuple[list[Product], int | None]:
    """Return a page of products by id, each with its units of this moment, and where the next page starts."""
    if filters.in_stock is None and not filters.runs_low:
        kept = remembered((filters, page), lambda: list(_page(_matching(filters), page)))
        found = [copy(product) for product in kept]  # each answer has units of its own
    else:
        found = list(_page(_matching(filters), page))
    products = found[: page.size]
    return _with_stock(products), products[-1].pk if len(found) > page.size else None


def find_product(*, reference: str, retired_too: bool = False) -> Product:
    """Return the product with this id or SKU, and its units of this moment. Raises ProductNotFound."""
    if "\0" in reference:
        raise ProductNotFound(reference)  # PostgreSQL would refuse the question
    named = Q(sku=reference)
    if reference.isascii() and reference.isdigit() and len(reference) < 20 and int(reference) <= LARGEST_ID:
        named |= Q(pk=int(reference))
    products = Product.objects.filter(named)
    if not retired_too:
        products = products.filter(active=True)
    # Of a product with this id and another with this SKU, the id is meant.
    for product in sorted(products, key=lambda product: str(product.pk) != reference):
        return _with_stock([product])[0]
    raise ProductNotFound(reference)


def running_low() -> int:
    """Return how many of the products on sale have fewer units left than their reorder level."""
    return Product.objects.filter(RUNS_LOW, active=True).count()


def list_changes(*, product_id: int, page: Page) -> tuple[list[StockChange], int | None]:
    """Return a page of a product's corrections, the latest first, and where the next page starts."""
    changes = StockChange.objects.filter(product_id=product_id, pk__lt=page.after or LARGEST_ID).order_by(
        "-pk"
    )
    found = list(changes[: page.size + 1])
    shown = found[: page.size]
    return shown, shown[-1].pk if len(found) > page.size else None


def _matching(filters: Filters) -> QuerySet[Product]:
    products = Product.objects.all() if filters.retired_too else Product.objects.filter(active=True)
    if filters.search:
        products = products.filter(matches(filters.search))
    if filters.category:
        products = products.filter(category__composed__iexact=composed(filters.category))
    if filters.in_stock is not None:
        has_some = Q(stock__on_hand__gt=F("stock__reserved"))
        products = products.filter(has_some if filters.in_stock else ~has_some)
    if filters.runs_low:
        products = products.filter(RUNS_LOW)
    return products


def matches(text: str) -> Q:
    """Return the condition that a product's SKU, name or description has the text in it."""
    text = composed(text)
    return (
        Q(sku__composed__icontains=text)
        | Q(name__composed__icontains=text)
        | Q(description__composed__icontains=text)
    )


def _page(products: QuerySet[Product], page: Page) -> QuerySet[Product]:
    return products.filter(pk__gt=page.after).order_by("pk")[: page.size + 1]


def _with_stock(products: Iterable[Product]) -> list[Product]:
    products = list(products)
    stock = StockItem.objects.in_bulk([product.pk for product in products])
    for product in products:
        product.stock = stock.get(product.pk) or StockItem(product=product)
    return products
