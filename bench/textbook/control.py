"""`python -m bench.textbook.control prepare|place N [held]|release N RATE`: operations on this shop."""

import os
import random
import sys

import django
from django.core.management import call_command

from bench.textbook.celery import app as celery
from bench.wanted import PRODUCTS, USERS, paced, random_items

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.textbook.settings")
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from rest_framework.authtoken.models import Token  # noqa: E402

from bench.textbook.models import Order, Product  # noqa: E402
from bench.textbook.serializers import OrderSerializer  # noqa: E402
from bench.textbook.tasks import process  # noqa: E402


def prepare() -> None:
    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)
    Product.objects.bulk_create(
        Product(sku=f"B-{n}", name=f"Thing {n}", price=f"{n % 90 + 5}.99", weight_grams=250, stock=10_000_000)
        for n in range(1, PRODUCTS + 1)
    )
    for number in range(USERS):
        print(Token.objects.create(user=User.objects.create_user(f"user-{number}")).key)


def place(count: int, *, held: bool) -> None:
    celery.set_current()
    owner, rng = User.objects.get(username="user-0"), random.Random(count)  # noqa: S311
    for _ in range(count):
        serializer = OrderSerializer(data={"customerName": "Bench", "items": random_items(rng)})
        serializer.is_valid(raise_exception=True)
        order = serializer.save(owner=owner)
        if not held:
            process(order.pk)


def release(count: int, per_second: float) -> None:
    celery.set_current()
    order_ids = list(Order.objects.order_by("-pk").values_list("pk", flat=True)[:count])
    for order_id in paced(reversed(order_ids), per_second):
        process(order_id)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["prepare"]:
            prepare()
        case ["place", number, *rest]:
            place(int(number), held=rest == ["held"])
        case ["release", number, rate]:
            release(int(number), float(rate))
