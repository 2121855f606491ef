"""From an order to its tasks in a running Flower, and back."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.acceptance.stack import Stack, wait_until

STEPS = [
    "inventory.reserve_stock",
    "payments.authorize_payment",
    "shipping.quote_shipping",
]


def in_flower(stack: Stack, search: str) -> list[dict[str, Any]]:
    """Return the tasks that Flower lists for a search, as its page asks for them."""
    user, _, password = stack.environment["FLOWER_BASIC_AUTH"].partition(":")
    columns: dict[str, str | int] = {
        "order[0][column]": 0,
        "order[0][dir]": "desc",
        "columns[0][data]": "name",
    }
    answer = requests.get(
        f"http://127.0.0.1:{stack.flower_port}/tasks/datatable",
        params={"draw": 1, "start": 0, "length": 100, "search[value]": search, **columns},
        auth=(user, password),
        timeout=10,
    )
    return list(answer.json()["data"])


def test_an_orders_tasks_are_found_in_flower_and_lead_back_to_it(stack: Stack) -> None:
    order = stack.place({"productName": "Book", "quantity": 1})
    stack.when(order["orderId"], "Confirmed")
    page = requests.get(f"{stack.url}/board/orders/{order['orderId']}", timeout=10).text
    link = page.split(f'href="{stack.environment["FLOWER_URL"]}/tasks?')[1].split('"')[0]
    # Flower's page looks for `name:` and what its address says of a name.
    search = f"name:{parse_qs(urlsplit('?' + link).query)['name'][0]}"
    done = {(name, "SUCCESS") for name in STEPS}
    wait_until(
        lambda: {(task["name"], task["state"]) for task in in_flower(stack, search)} >= done,
        seconds=30,
        what="Flower",
    )
    found = in_flower(stack, search)
    (address,) = {task["kwargs"] for task in found}
    operator = stack.session("operator")
    tasks = operator.get(f"{stack.url}/api/orders/{order['orderId']}/tasks", timeout=10).json()["results"]
    # Sent only if stock came last; and if the legs had joined when it arrived, nothing was left to do for it.
    idle = {task["uuid"] for task in found if task["name"] == "payments.capture_payment"}
    assert {task["task"] for task in tasks} | idle == {task["uuid"] for task in found}
    assert address == f"{stack.environment['PUBLIC_URL']}/admin/orders/batch/{tasks[0]['batch']}/change/"
    assert order["orderNumber"] in operator.get(stack.url + urlsplit(address).path, timeout=10).text
