"""Rules of stock: which orders get the units, in order of placement."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db import models


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


class ChangeSource(models.TextChoices):
    """Who adjusts stock."""

    STAFF = "staff", "Staff adjustment"
    SYNC = "sync", "Inventory sync"


class Difference(NamedTuple):
    """A product's difference to the warehouse, and how much was applied."""

    product_id: int
    wanted: int
    applied: int


class NoStock(Exception):
    """The product does not exist or has no stock row."""

    def __init__(self, product_id: int) -> None:
        super().__init__(f"There is no stock of a product {product_id}.")


class NotEnoughFree(Exception):
    """Too few unreserved units to remove."""

    def __init__(self, *, product_id: int, available: int) -> None:
        super().__init__(
            f"Only {available} units of product {product_id} are free; the others are reserved by orders."
        )
        self.available = available


def by_order(wanted: Sequence[Wanted]) -> dict[int, dict[int, int]]:
    orders: dict[int, dict[int, int]] = {}
    for order_id, product_id, quantity in sorted(wanted):
        products = orders.setdefault(order_id, {})
        products[product_id] = products.get(product_id, 0) + quantity
    return orders


def units_by_product(lines: Iterable[Wanted]) -> dict[int, int]:
    units: dict[int, int] = {}
    for _, product_id, quantity in lines:
        units[product_id] = units.get(product_id, 0) + quantity
    return units


def allocate(
    orders: Mapping[int, Mapping[int, int]], available: dict[int, int]
) -> tuple[list[Wanted], dict[int, list[Shortage]]]:
    """Return the reservations, and the shortages of orders that get nothing; takes from `available`."""
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
