"""Products with stock, as short as a test wants to say it."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import TypeVar

from django.db import connection
from django.db.models import Sum

from inventory.models import Product, Reservation, StockItem

Result = TypeVar("Result")


def make_product(
    number: int,
    *,
    on_hand: int | None = 10,
    price: str = "10.00",
    reserved: int = 0,
    sold: int = 0,
    **fields: object,
) -> Product:
    """Store product `number` (its id); `on_hand=None` leaves it without a stock row."""
    product = Product.objects.create(
        id=number, sku=f"SKU-{number}", **{"name": f"Thing {number}", "price": Decimal(price)} | fields
    )
    if on_hand is not None:
        StockItem.objects.create(product=product, on_hand=on_hand, reserved=reserved, sold=sold)
    return product


def units(product_id: int) -> tuple[int, int, int]:
    """Return (on hand, reserved, sold)."""
    item = StockItem.objects.get(product_id=product_id)
    return item.on_hand, item.reserved, item.sold


def reservations() -> dict[int, dict[int, int]]:
    """Return {order: {product: quantity}} of every open reservation."""
    held: dict[int, dict[int, int]] = {}
    for order_id, product_id, quantity in Reservation.objects.values_list(
        "order_id", "product_id", "quantity"
    ):
        held.setdefault(order_id, {})[product_id] = quantity
    return held


def reserved_equals_reservations() -> bool:
    """Whether every stock row says as many reserved units as there are reservations of it."""
    held = dict(Reservation.objects.values_list("product_id").annotate(Sum("quantity")))
    return all(item.reserved == held.get(item.product_id, 0) for item in StockItem.objects.all())


def at_once(jobs: Iterable[Callable[[], Result]]) -> list[Result]:
    """Run each job in a thread of its own, all starting together; return their results in order."""
    jobs = list(jobs)
    start = Barrier(len(jobs))

    def run(job: Callable[[], Result]) -> Result:
        try:
            start.wait(timeout=30)
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(run, jobs))
