"""Product lists with stock, for the API."""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet

from database.text import composed
from inventory.catalogue import LARGEST_ID
from inventory.listing_cache import remembered
from inventory.models import Product, StockChange, StockItem

# Fewer available units than the reorder level.
RUNS_LOW = Q(stock__on_hand__lt=F("stock__reserved") + F("stock__reorder_level"))


class ProductNotFound(Exception):
    """No visible product has this id or SKU."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"There is no product {reference}.")
        self.reference = reference


@dataclass(frozen=True, kw_only=True)
class Filters:
    search: str = ""  # in SKU, name or description
    category: str = ""
    in_stock: bool | None = None  # None: either
    runs_low: bool = False  # below their reorder level
    retired_too: bool = False  # for staff


@dataclass(frozen=True, kw_only=True)
class Page:
    """The start and size of a page."""

    after: int = 0
    size: int = 50


def list_products(*, filters: Filters, page: Page) -> tuple[list[Product], int | None]:
    """Return a page by id with current stock, and the next cursor."""
    if filters.in_stock is None and not filters.runs_low:
        kept = remembered((filters, page), lambda: list(_page(_matching(filters), page)))
        found = [copy(product) for product in kept]  # cached products are shared, stock is per response
    else:
        found = list(_page(_matching(filters), page))
    products = found[: page.size]
    return _with_stock(products), products[-1].pk if len(found) > page.size else None


def find_product(*, reference: str, retired_too: bool = False) -> Product:
    """Return the product with current stock. Raises ProductNotFound."""
    if "\0" in reference:
        raise ProductNotFound(reference)  # PostgreSQL rejects NUL
    named = Q(sku=reference)
    if reference.isascii() and reference.isdigit() and len(reference) < 20 and int(reference) <= LARGEST_ID:
        named |= Q(pk=int(reference))
    products = Product.objects.filter(named)
    if not retired_too:
        products = products.filter(active=True)
    # Ids take precedence over equal SKUs.
    for product in sorted(products, key=lambda product: str(product.pk) != reference):
        return _with_stock([product])[0]
    raise ProductNotFound(reference)


def available_units(product_ids: Iterable[int]) -> dict[int, int]:
    """Return unreserved units by product id, without a lock."""
    return {item.product_id: item.available for item in StockItem.objects.filter(product_id__in=product_ids)}


def running_low() -> int:
    """Return how many active products are below their reorder level."""
    return Product.objects.filter(RUNS_LOW, active=True).count()


def list_changes(*, product_id: int, page: Page) -> tuple[list[StockChange], int | None]:
    """Return a page of adjustments, latest first, and the next cursor."""
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
