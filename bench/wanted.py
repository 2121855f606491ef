"""The orders of all contestants: two lines of a thousand products."""

import json
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

PRODUCTS = 1000
USERS = 16
LINES = 2


def random_items(rng: random.Random) -> list[dict[str, Any]]:
    return [
        {"productId": product_id, "quantity": rng.randint(1, 3)}
        for product_id in rng.sample(range(1, PRODUCTS + 1), LINES)
    ]


def random_body(rng: random.Random) -> bytes:
    order = {"customerName": f"Customer {rng.randint(1, 5000)}", "email": "bench@example.com"}
    return json.dumps(order | {"items": random_items(rng)}).encode()


def paced(order_ids: Iterable[int], per_second: float) -> Iterator[int]:
    """Yield orders at a rate, however slow the consumer."""
    started = time.perf_counter()
    for number, order_id in enumerate(order_ids):
        time.sleep(max(0.0, started + number / per_second - time.perf_counter()))
        yield order_id
