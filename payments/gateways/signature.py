"""Signed webhooks of payment providers: two secrets are accepted during a rotation."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from payments.gateways.protocol import NotGenuine
from runtime import signatures

WINDOW = timedelta(seconds=300)


def verify(*, header: str, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise NotGenuine unless signed with a secret, within the window around `now`."""
    try:
        signatures.verify(header, body=body, secrets=secrets, now=now, window=WINDOW)
    except signatures.BadSignature as error:
        raise NotGenuine(str(error)) from error
