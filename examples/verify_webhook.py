"""Verify a webhook by Standard Webhooks: python examples/verify_webhook.py <id> <timestamp> <signature> < body

Reads WEBHOOK_SECRET (`whsec_…`). Prints the event's type; ends with 1 if the webhook is not genuine. The arguments are
the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. Needs nothing but Python.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time

TOLERANCE_SECONDS = 300


def is_genuine(*, secret: str, key: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """Whether one of the signatures is ours, and recent. `body` is the raw body, before any parsing."""
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{key}.{timestamp}.".encode() + body
    expected = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256)
    wanted = f"v1,{base64.b64encode(expected).decode()}"
    return any(hmac.compare_digest(wanted, each) for each in signatures.split())


def main(key: str, timestamp: str, signatures: str) -> int:
    """Verify the body of standard input. Process each `webhook-id` once: a webhook may come again."""
    body, secret = sys.stdin.buffer.read(), os.environ["WEBHOOK_SECRET"]
    if not is_genuine(secret=secret, key=key, timestamp=timestamp, signatures=signatures, body=body):
        print("not genuine", file=sys.stderr)
        return 1
    print(json.loads(body)["type"])
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
