"""What survives: processes that die come back, and no order is lost meanwhile."""

import os
import signal

import psutil
import requests

from tests.acceptance.stack import Stack, wait_until

BOOK = {"productName": "Book", "quantity": 1}


def test_orders_are_confirmed_although_every_worker_is_killed(stack: Stack) -> None:
    orders = [stack.place(BOOK)["orderId"] for _ in range(20)]
    victims = stack.processes("celery", "worker")
    assert len(victims) >= 5
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)
    orders += [stack.place(BOOK)["orderId"] for _ in range(20)]
    for order_id in orders:
        stack.when(order_id, "Confirmed", seconds=60)


def test_orders_are_confirmed_although_the_dispatcher_is_killed(stack: Stack) -> None:
    for victim in stack.processes("manage.py", "dispatch"):
        victim.kill()
    order = stack.place(BOOK)
    stack.when(order["orderId"], "Confirmed", seconds=30)


def test_orders_are_accepted_without_the_broker_and_confirmed_when_it_is_back(stack: Stack) -> None:
    for victim in stack.processes("valkey-server") or valkeys(stack):
        victim.kill()
    order = stack.place(BOOK)
    stack.when(order["orderId"], "Confirmed", seconds=60)


def valkeys(stack: Stack) -> list[psutil.Process]:
    """Valkey runs with an environment of its own: it is known by its data folder or port."""
    port = stack.environment["REDIS_URL"].rsplit(":", 1)[1]
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "valkey-server" in " ".join(process.info["cmdline"] or [])
        and port in " ".join(process.info["cmdline"] or [])
    ]


def test_everything_is_healthy_again(stack: Stack) -> None:
    def healthy() -> bool:
        return requests.get(f"{stack.url}/health", timeout=10).json()["status"] == "healthy"

    wait_until(healthy, seconds=60, what="everything to be healthy again", log=stack.log)
