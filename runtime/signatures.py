"""Signatures of webhooks: `t=<unix time>,v1=<HMAC-SHA256 of time, dot and body>`."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta


class BadSignature(Exception):
    """The body is not signed by a known secret, or not lately."""


def digest(secret: str, *, timestamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def header(secret: str, *, timestamp: int, body: bytes) -> str:
    """Return the header for a body; the time keeps a captured one from being replayed."""
    return f"t={timestamp},v1={digest(secret, timestamp=str(timestamp), body=body)}"


def verify(header: str, *, body: bytes, secrets: Sequence[str], now: datetime, window: timedelta) -> None:
    """Raise BadSignature unless one of the secrets signed the body within the window around `now`."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(timestamps) != 1 or not (timestamps[0].isascii() and timestamps[0].isdecimal()):
        raise BadSignature("The signature has no timestamp.")
    good = [digest(secret, timestamp=timestamps[0], body=body) for secret in secrets]
    # Constant time, against timing attacks.
    matches = [hmac.compare_digest(one.encode(), other.encode()) for one in good for other in signatures]
    if not any(matches):
        raise BadSignature("The signature is wrong.")
    if abs(now.timestamp() - int(timestamps[0][:15])) > window.total_seconds():
        raise BadSignature("The signature is too old.")
