"""Quote and place an order: python examples/create_order.py TEE-1 2

Reads API_URL and API_TOKEN. Needs nothing but Python. Prints `number status total currency`.
"""

import json
import os
import sys
import urllib.request
import uuid
from typing import Any

API = os.environ.get("API_URL", "http://localhost:8000")


def post(path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Return the answer to a POST. Raises urllib.error.HTTPError for a refusal."""
    headers |= {"Content-Type": "application/json"}
    if token := os.environ.get("API_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{API}{path}", json.dumps(body).encode(), headers)  # noqa: S310 - API_URL
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 # nosec B310
        answer: dict[str, Any] = json.load(response)
    return answer


def main(sku: str, quantity: int) -> None:
    """Place the order at the quoted total; the key makes a repeat harmless."""
    order: dict[str, Any] = {"customerName": "Jane Doe", "items": [{"sku": sku, "quantity": quantity}]}
    quote = post("/api/orders/quote", order)
    order["expectedTotal"] = quote["totalAmount"]
    placed = post("/api/orders", order, **{"Idempotency-Key": str(uuid.uuid4())})
    print(placed["orderNumber"], placed["status"], placed["estimatedTotalAmount"], placed["currency"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
