"""`python -m bench.shop prepare|place N [held]|release N RATE|history N`: the benchmark's operations on our shop."""

import itertools
import os
import random
import sys
import time

import django
from django.core.management import call_command

from bench.wanted import PRODUCTS, USERS, paced, random_items

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.db import connection  # noqa: E402

from accounts import tokens  # noqa: E402
from inventory.models import Product, StockItem  # noqa: E402
from orders.commands import cancel_orders, complete_orders, process_order  # noqa: E402
from orders.models import Journey, Order  # noqa: E402
from orders.placing.bulk import Accepted, Entry, place_orders  # noqa: E402
from orders.placing.pricing import NewOrder, WantedLine  # noqa: E402
from shipping.tariff import load_tariff  # noqa: E402

CHUNK = 500


def prepare() -> None:
    call_command("migrate", verbosity=0)
    load_tariff(currency="USD")
    Product.objects.bulk_create(
        Product(id=n, sku=f"B-{n}", name=f"Thing {n}", price=f"{n % 90 + 5}.99", weight_grams=250)
        for n in range(1, PRODUCTS + 1)
    )
    StockItem.objects.bulk_create(
        StockItem(product_id=n, on_hand=100_000_000) for n in range(1, PRODUCTS + 1)
    )
    for number in range(USERS):
        user = User.objects.create_user(f"user-{number}", is_staff=number == 0)
        print(tokens.issue(user, expires_at=None)[1])


def place(count: int, *, hold: bool) -> None:
    owner_id, rng = User.objects.get(username="user-1").pk, random.Random(count)  # noqa: S311
    numbers = range(count)
    while chunk := list(itertools.islice(numbers, CHUNK)):
        numbers = numbers[len(chunk) :]
        outcomes = place_orders(entries=[_entry(rng, owner_id, hold=hold) for _ in chunk], owner_id=owner_id)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)


def release(count: int, per_second: float) -> None:
    order_ids = list(Order.objects.order_by("-pk").values_list("pk", flat=True)[:count])
    for order_id in paced(reversed(order_ids), per_second):
        process_order(order_id=order_id)


def history(count: int) -> None:
    place(count, hold=False)
    while Journey.objects.filter(due_at__isnull=False).exists():
        time.sleep(0.1)
    order_ids = list(Order.objects.order_by("pk").values_list("pk", flat=True))
    cancelled, left = order_ids[::20], order_ids[50::100]
    cancel_orders(order_ids=cancelled, reason="changed my mind")
    complete_orders(order_ids=sorted({*order_ids} - {*cancelled} - {*left}))


def _entry(rng: random.Random, owner_id: int, *, hold: bool) -> Entry:
    lines = [WantedLine(item["quantity"], item["productId"]) for item in random_items(rng)]
    new = NewOrder(
        owner_id=owner_id,
        customer_name=f"Customer {rng.randint(1, 5000)}",
        email="bench@example.com",
        lines=lines,
        currency="USD",
        country="US",
        payment_token="tok_demo",  # noqa: S106 - the name of a token
        hold=hold,
    )
    return Entry(new)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["prepare"]:
            prepare()
        case ["place", count, *rest]:
            place(int(count), hold=rest == ["held"])
        case ["release", count, per_second]:
            release(int(count), float(per_second))
        case ["history", count]:
            history(int(count))
    connection.close()
