"""Compares stock with the warehouse through the Inventory API (`INVENTORY_API_URL`).

The warehouse knows no orders: its received units are our on hand plus sold. It is authoritative: syncs revert
staff adjustments unknown to it.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import Annotated, NamedTuple

import msgspec
from django.db import transaction
from django.db.models import F

from inventory import stock
from inventory.models import Product, StockItem
from providers.errors import ProviderRefused, ProviderUnavailable
from providers.http import provider

logger = logging.getLogger(__name__)

PROVIDER = "inventory"
PAGE_SIZE = 500
# A page may exceed PAGE_SIZE, within these limits.
MOST_ITEMS, LONGEST_SKU = 10_000, 200
SEVERAL = 5  # per log line; there may be thousands


class Counted(msgspec.Struct, frozen=True):
    """Units of an article received, less write-offs."""

    sku: Annotated[str, msgspec.Meta(max_length=LONGEST_SKU)]
    received: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class Page(msgspec.Struct, frozen=True):
    """Articles by ascending SKU; `next` is None on the last."""

    items: Annotated[list[Counted], msgspec.Meta(max_length=MOST_ITEMS)]
    next: Annotated[str, msgspec.Meta(max_length=LONGEST_SKU)] | None


class Ours(NamedTuple):
    """A product and its received units (None: no stock row)."""

    sku: str
    product_id: int
    units: int | None


@dataclass(frozen=True, kw_only=True)
class SyncSummary:
    pages: int = 0
    products: int = 0  # compared
    differences: int = 0
    applied: int = 0  # the rest waits for reserved units
    unknown: int = 0  # SKUs not sold here
    stopped: str = ""  # the reason for an early end

    def __add__(self, other: "SyncSummary") -> "SyncSummary":
        return SyncSummary(
            pages=self.pages + other.pages,
            products=self.products + other.products,
            differences=self.differences + other.differences,
            applied=self.applied + other.applied,
            unknown=self.unknown + other.unknown,
            stopped=self.stopped or other.stopped,
        )

    def __str__(self) -> str:
        end = f"; stopped: {self.stopped}" if self.stopped else ""
        return (
            f"{self.products} products compared on {self.pages} pages, {self.differences} differed,"
            f" {self.applied} corrected, {self.unknown} SKUs unknown{end}"
        )


def sync_stock(*, now: datetime) -> SyncSummary:
    """Correct our stock by page; return a summary.

    Each page has its own short transaction: earlier pages stay corrected if the provider fails.
    """
    summary = SyncSummary()
    try:
        for page in _pages():
            summary += _take_over(page, now)
    except (ProviderUnavailable, ProviderRefused) as error:
        summary += SyncSummary(stopped=str(error))
        logger.warning("The inventory sync stopped after %d pages: %s", summary.pages, error)
    if summary.differences:
        logger.info("The inventory sync found differences: %s", summary)
    return summary


def _pages() -> Iterator[Page]:
    after: str | None = ""
    while after is not None:
        page = _page(after)
        yield page
        if page.next is not None and page.next <= after:
            raise ProviderUnavailable(PROVIDER, f"its page after {after!r} leads back to {page.next!r}")
        after = page.next


def _page(after: str) -> Page:
    answer = provider(PROVIDER).get("/stock", after=after, limit=PAGE_SIZE)
    try:
        return msgspec.convert(answer, Page)
    except msgspec.ValidationError as error:
        raise ProviderUnavailable(PROVIDER, f"its page after {after!r} is no page: {error}") from error


def _take_over(page: Page, now: datetime) -> SyncSummary:
    """Compare without locks, as most rows agree."""
    received = {item.sku: item.received for item in page.items}
    ours = _received_by_us(received)
    differing = {line.product_id: received[line.sku] for line in ours if line.units != received[line.sku]}
    without_stock = [line.product_id for line in ours if line.units is None]
    differences = _correct(differing, without_stock, now) if differing else []
    _report_unknown(sorted(received.keys() - {line.sku for line in ours}))
    return SyncSummary(
        pages=1,
        products=len(ours),
        differences=len(differences),
        applied=sum(difference.applied == difference.wanted for difference in differences),
        unknown=len(received) - len(ours),
    )


def _received_by_us(skus: Iterable[str]) -> list[Ours]:
    products = Product.objects.filter(sku__in=[sku for sku in skus if "\0" not in sku])
    return list(starmap(Ours, products.values_list("sku", "id", F("stock__on_hand") + F("stock__sold"))))


def _correct(received: dict[int, int], without_stock: list[int], now: datetime) -> list[stock.Difference]:
    with transaction.atomic():
        StockItem.objects.open_stock(product_ids=without_stock)
        return StockItem.objects.take_over(received=received, reason="warehouse count", now=now)


def _report_unknown(skus: list[str]) -> None:
    if skus:
        named = ", ".join(skus[:SEVERAL])
        logger.info("The warehouse has %d SKUs not sold here, e.g. %s", len(skus), named)
