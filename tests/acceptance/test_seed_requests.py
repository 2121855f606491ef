"""The requests of the two documents the project descends from, as they are written there."""

import subprocess

import pytest
import requests

from tests.acceptance.stack import Stack, wait_until

HUNDRED_ORDERS = """
for i in {1..100}; do
  curl -s -w ' %{http_code}\\n' -X POST URL/api/orders \\
    -H "Content-Type: application/json" \\
    -d '{
      "customerId": "'$i'",
      "items": [
        {"productId": 1, "quantity": 2, "price": 29.99},
        {"productId": 2, "quantity": 1, "price": 149.99}
      ]
    }' &
done
wait
"""


def post(stack: Stack, path: str, body: str = "") -> requests.Response:
    headers = {"Content-Type": "application/json"} if body else {}
    return requests.post(stack.url + path, data=body, headers=headers, timeout=10)


def get(stack: Stack, path: str) -> requests.Response:
    return requests.get(stack.url + path, timeout=10)


def test_simple_order_flow(stack: Stack) -> None:
    order = post(
        stack,
        "/api/orders",
        """{
  "customerName": "Alice",
  "items": [
    {"productName": "Book", "quantity": 3, "price": 15.99}
  ]
}""",
    ).json()
    assert order["orderNumber"].startswith("ORD-")
    assert post(stack, f"/api/orders/{order['orderId']}/process").status_code == 200
    assert post(stack, f"/api/orders/{order['orderId']}/complete").status_code in (200, 202)
    done = stack.when(order["orderId"], "Completed")
    assert done["customerName"] == "Alice"
    assert done["orderNumber"] == order["orderNumber"]
    assert done["completedAt"] > done["createdAt"]
    assert done["totalAmount"] >= 47.97


def test_the_documented_order_costs_what_the_document_says(stack: Stack) -> None:
    order = post(
        stack,
        "/api/orders",
        """{
  "customerName": "John Doe",
  "items": [
    {
      "productName": "Laptop",
      "quantity": 1,
      "price": 999.99
    },
    {
      "productName": "Mouse",
      "quantity": 2,
      "price": 29.99
    }
  ]
}""",
    ).json()
    assert stack.when(order["orderId"], "Confirmed")["totalAmount"] == 1059.97
    by_name = get(stack, "/api/orders/customer/John%20Doe").json()["results"]
    assert order["orderId"] in [found["orderId"] for found in by_name]


def test_cancel_order(stack: Stack) -> None:
    order = post(
        stack,
        "/api/orders",
        """{
  "customerName": "Bob",
  "items": [
    {"productName": "Phone", "quantity": 1, "price": 699.99}
  ]
}""",
    ).json()
    answer = post(stack, f"/api/orders/{order['orderId']}/cancel?reason=Changed%20mind")
    assert answer.status_code in (200, 202)
    assert stack.when(order["orderId"], "Cancelled")["reason"] == "Changed mind"


def test_query_orders(stack: Stack) -> None:
    held = stack.place({"productName": "Book", "quantity": 1, "price": 15.99}, hold=True)
    pending = get(stack, "/api/orders/pending")
    assert pending.status_code == 200
    assert held["orderId"] in [order["orderId"] for order in pending.json()["results"]]
    assert get(stack, "/api/orders/customer/Alice").json()["results"]
    assert post(stack, f"/api/orders/{held['orderId']}/process").status_code == 200
    stack.when(held["orderId"], "Confirmed")


@pytest.mark.parametrize("number", range(1, 11))
def test_each_of_the_ten_numbered_products_can_be_ordered(stack: Stack, number: int) -> None:
    answer = post(
        stack,
        "/api/orders",
        f"""{{
        "customerName": "Customer {number}",
        "items": [
            {{"productName": "Product {number}", "quantity": 1, "price": 10.99}}
        ]
    }}""",
    )
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    "path",
    ["/health", "/health/ready", "/health/live", "/api/system/metrics", "/api/system/status", "/swagger"],
)
def test_the_documented_addresses_answer(stack: Stack, path: str) -> None:
    assert get(stack, path).status_code == 200


def test_a_hundred_orders_at_once_from_a_shell_loop_are_all_accepted_and_confirmed(stack: Stack) -> None:
    # The last of the file: meanwhile the others use the one account too.
    wait_until(lambda: not stack.is_shared(), seconds=60, what="other accounts' share to lapse")
    before = stack.rows("SELECT coalesce(max(id), 0) FROM orders_order")[0][0]
    loop = subprocess.run(
        ["bash", "-c", HUNDRED_ORDERS.replace("URL", stack.url)], capture_output=True, text=True, check=True
    )
    answers = loop.stdout.splitlines()
    assert [answer for answer in answers if not answer.endswith(" 201")] == []
    assert len(answers) == 100

    def confirmed() -> int:
        statement = "SELECT count(*) FROM orders_journey WHERE order_id > %s AND status = 'confirmed'"
        return int(stack.rows(statement, before)[0][0])

    wait_until(lambda: confirmed() == 100, seconds=60, what="all of them to be confirmed", log=stack.log)
    customers = {
        get(stack, f"/api/orders/customer/{i}").json()["results"][0]["customerId"] for i in (1, 50, 100)
    }
    assert customers == {"1", "50", "100"}
