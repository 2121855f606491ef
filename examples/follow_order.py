"""Follow an order live: python examples/follow_order.py 279

Reads API_URL and API_TOKEN, and LIVE_URL if the sockets are elsewhere. Prints `sequence event status progress` for each
event until the order is confirmed or ends. Needs the package `websockets`.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

API = os.environ.get("API_URL", "http://localhost:8000")
LIVE = os.environ.get("LIVE_URL", API.replace("http", "ws", 1))
LAST = {"Confirmed", "Completed", "Cancelled", "Rejected"}


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a POST. Raises urllib.error.HTTPError for a refusal."""
    headers = {"Content-Type": "application/json"}
    if token := os.environ.get("API_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{API}{path}", json.dumps(body).encode(), headers)  # noqa: S310 - API_URL
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 # nosec B310
        answer: dict[str, Any] = json.load(response)
    return answer


def follow(order: str) -> None:
    """Print each event once, also over lost connections: `after` is the last that was seen."""
    last, status = 0, ""
    while status not in LAST:
        try:
            ticket = post(f"/api/orders/{order}/ticket", {})["ticket"]
            with connect(f"{LIVE}/ws/orders/{order}?ticket={ticket}&after={last}", proxy=None) as socket:
                for text in socket:
                    message = json.loads(text)
                    last, status = message["sequence"], message.get("status", status)
                    print(last, message["event"], status, message["progress"], flush=True)
                    if status in LAST:
                        return
        except urllib.error.HTTPError as refusal:
            if refusal.code < 500:
                raise
        except (OSError, WebSocketException):
            pass
        time.sleep(1)


if __name__ == "__main__":
    follow(sys.argv[1])
