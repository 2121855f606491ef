"""Signatures of outgoing webhooks: Standard Webhooks, and the former form for subscriptions from before it."""

import base64
import binascii
import hashlib
import hmac

from notifications.models import Subscription
from runtime import signatures

PREFIX = "whsec_"


def signed_headers(subscription: Subscription, *, key: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message: id for deduplication, time against replay, signature."""
    if subscription.signature == Subscription.Signature.HEX:
        return {
            "Webhook-Id": key,
            "Webhook-Signature": signatures.header(subscription.secret, timestamp=timestamp, body=body),
        }
    return {
        "webhook-id": key,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(subscription.secret, key=key, timestamp=timestamp, body=body),
    }


def sign(secret: str, *, key: str, timestamp: int, body: bytes) -> str:
    """Return `v1,<base64>` over id, time and body."""
    signed = f"{key}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(_key_of(secret), signed, hashlib.sha256)).decode()


def _key_of(secret: str) -> bytes:
    """Return the key's bytes. A secret that is no base64, as staff may type one, is taken as it is."""
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()
