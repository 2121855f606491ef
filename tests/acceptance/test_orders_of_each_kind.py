"""An order of each kind through the real workers: states, journal, stock and the provider's own ledger."""

from decimal import Decimal
from typing import Any

import requests

from tests.acceptance.stack import Stack

BOOK = {"productName": "Book", "quantity": 1}


def types(stack: Stack, order: dict[str, Any]) -> list[str]:
    events = requests.get(f"{stack.url}/api/orders/{order['orderId']}/events", timeout=10).json()["results"]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    return [event["type"] for event in events]


def at_provider(stack: Stack, order: dict[str, Any]) -> tuple[Decimal | int, ...]:
    """What the provider still holds, took and gave back, in its own words."""
    found = requests.get(
        f"http://127.0.0.1:{stack.environment['SANDBOX_PORT']}/payments/operations",
        params={"reference": order["uuid"]},
        timeout=10,
    ).json()["items"]
    moved = {entry["kind"]: Decimal(entry["amount"]) for entry in found if entry["status"] == "succeeded"}
    taken, let_go = moved.get("capture", Decimal(0)), moved.get("void", Decimal(0))
    return moved.get("authorize", Decimal(0)) - taken - let_go, taken, moved.get("refund", Decimal(0))


def held_units(stack: Stack, order: dict[str, Any]) -> int:
    statement = "SELECT coalesce(sum(quantity), 0) FROM inventory_reservation WHERE order_id = %s"
    return int(stack.rows(statement, order["orderId"])[0][0])


def cancel(stack: Stack, order: dict[str, Any]) -> None:
    answer = requests.post(f"{stack.url}/api/orders/{order['orderId']}/cancel?reason=test", timeout=10)
    assert answer.status_code in (200, 202), answer.text


def test_a_good_order(stack: Stack) -> None:
    order = stack.place(BOOK)
    done = stack.when(order["orderId"], "Confirmed")
    assert types(stack, order)[-2:] == ["payment_captured", "order_confirmed"]
    assert held_units(stack, order) == 1
    assert at_provider(stack, order) == (0, Decimal(str(done["totalAmount"])), 0)


def test_an_order_out_of_stock(stack: Stack) -> None:
    product, units = stack.rows(
        "SELECT product_id, on_hand - reserved FROM inventory_stockitem ORDER BY 2, 1 LIMIT 1"
    )[0]
    order = stack.place({"productId": product, "quantity": units + 1})
    assert stack.when(order["orderId"], "Rejected")["reason"] == "out_of_stock"
    assert held_units(stack, order) == 0
    assert at_provider(stack, order) == (0, 0, 0)


def test_a_declined_order(stack: Stack) -> None:
    order = stack.place(BOOK, payment={"token": "tok_declined"})
    assert stack.when(order["orderId"], "Rejected")["reason"] == "card_declined"
    assert held_units(stack, order) == 0
    assert at_provider(stack, order) == (0, 0, 0)


def test_an_order_to_where_we_do_not_deliver(stack: Stack) -> None:
    order = stack.place(BOOK, shippingAddress={"country": "AQ"})
    assert stack.when(order["orderId"], "Rejected")["reason"] == "not_shippable"
    assert held_units(stack, order) == 0
    assert at_provider(stack, order) == (0, 0, 0)


def test_an_order_cancelled_while_in_flight(stack: Stack) -> None:
    order = stack.place(BOOK)
    cancel(stack, order)
    stack.when(order["orderId"], "Cancelled")
    assert held_units(stack, order) == 0
    held, taken, returned = at_provider(stack, order)
    assert held == 0
    assert taken == returned


def test_an_order_cancelled_when_confirmed(stack: Stack) -> None:
    order = stack.place(BOOK)
    stack.when(order["orderId"], "Confirmed")
    cancel(stack, order)
    stack.when(order["orderId"], "Cancelled")
    assert held_units(stack, order) == 0
    held, taken, returned = at_provider(stack, order)
    assert held == 0
    assert taken == returned > 0


def test_a_held_order_that_is_processed_and_completed(stack: Stack) -> None:
    order = stack.place(BOOK, hold=True)
    assert stack.order(order["orderId"])["status"] == "Pending"
    requests.post(f"{stack.url}/api/orders/{order['orderId']}/process", timeout=10)
    stack.when(order["orderId"], "Confirmed")
    requests.post(f"{stack.url}/api/orders/{order['orderId']}/complete", timeout=10)
    assert stack.order(order["orderId"])["status"] == "Completed"
    assert held_units(stack, order) == 0
    assert at_provider(stack, order)[1] > 0
