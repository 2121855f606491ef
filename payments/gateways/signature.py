"""Signatures of webhooks: `t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "<t>.<raw body>">[,v1=…]`.

The signature authenticates the sender and prevents replay; two secrets are accepted during rotation.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from payments.gateways.protocol import NotGenuine

WINDOW = timedelta(seconds=300)


def verify(*, header: str, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise NotGenuine unless signed with a secret, within the window around `now`."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(timestamps) != 1 or not (timestamps[0].isascii() and timestamps[0].isdecimal()):
        raise NotGenuine("The signature has no timestamp.")
    good = [sign(timestamp=timestamps[0], body=body, secret=secret) for secret in secrets]
    # Constant time, against timing attacks.
    matches = [hmac.compare_digest(one.encode(), other.encode()) for one in good for other in signatures]
    if not any(matches):
        raise NotGenuine("The signature is wrong.")
    if abs(now.timestamp() - int(timestamps[0][:15])) > WINDOW.total_seconds():
        raise NotGenuine("The signature is too old.")


def sign(*, timestamp: str, body: bytes, secret: str) -> str:
    """Return the signature of a body and timestamp."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
