"""Webhooks of the payment provider: who sent one, whether it came before, and what it says.

A webhook is signed like this, so that nobody else can send one and nobody can send one again later:

    Webhook-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "<t>.<raw body>">[,v1=…]
    {"id": "evt_…", "operation": {"kind": "capture", "status": "succeeded", "id": "cap_…", "key": "…",
                                  "reference": "…", "amount": "12.34", "currency": "USD"}}

Two secrets may be good at a time, so that they can be changed without losing any. What a webhook says is taken
as one more answer to a call of ours, and goes through the same guarded books: order, number and age of webhooks
do not matter.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from django.db import connection

from payments.gateways.protocol import Outcome
from payments.ledger import Kind
from payments.models import Transaction, WebhookEvent
from telemetry.card_numbers import holds_card_number, masked

LARGEST_BODY = 64 * 1024  # bytes
WINDOW = timedelta(seconds=300)
# Longer than any sender goes on trying. The window alone keeps older ones out.
EVENTS_ARE_KEPT = timedelta(days=7)


class NotGenuine(Exception):
    """The signature is missing, wrong or too old: this is not the provider, or no longer."""


class NotUnderstood(Exception):
    """It is signed, and says nothing we know how to read."""


class Operation(msgspec.Struct, frozen=True):
    """What the provider did, or would not do. Fields that we do not know are left alone."""

    id: str
    kind: str
    status: str
    reference: str
    key: str
    amount: str
    currency: str
    code: str = ""
    message: str = ""


class Event(msgspec.Struct, frozen=True):
    """A webhook's body."""

    id: str
    operation: Operation


def verify(*, header: str, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise NotGenuine unless the body was signed with one of the secrets, within the window around `now`."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(timestamps) != 1 or not (timestamps[0].isascii() and timestamps[0].isdecimal()):
        raise NotGenuine("The signature has no timestamp.")
    good = [sign(timestamp=timestamps[0], body=body, secret=secret) for secret in secrets]
    # Every pair is compared, in constant time, so that nothing can be learned from how long it takes.
    matches = [hmac.compare_digest(one.encode(), other.encode()) for one in good for other in signatures]
    if not any(matches):
        raise NotGenuine("The signature is wrong.")
    if abs(now.timestamp() - int(timestamps[0][:15])) > WINDOW.total_seconds():
        raise NotGenuine("The signature is too old.")


def sign(*, timestamp: str, body: bytes, secret: str) -> str:
    """Return the signature of a body sent at a time."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def read(body: bytes) -> Event:
    """Return what a webhook says; raises NotUnderstood."""
    try:
        event = msgspec.json.decode(body, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood(str(error)) from None
    if not 0 < len(event.id) <= 100 or not event.id.isprintable():
        raise NotUnderstood("An event's id is 1 to 100 printable characters.")
    if holds_card_number(f"{event.id} {event.operation.key}"):
        raise NotUnderstood("An event is not named by a card number.")
    return event


def is_new(event: Event) -> bool:
    """Note an event; False if it came before. Waits for a transaction that is just noting it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_webhookevent (id, key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [event.id, event.operation.key[:100]],
        )
        return cursor.rowcount == 1


def late_outcome_of(event: Event, *, order_id: int) -> tuple[Kind, Outcome] | None:
    """Return which transaction of an order's an event is about, and what it says of it.

    None if it is about none that we asked for, about another amount, or says nothing final.
    """
    operation = event.operation
    if operation.kind not in Kind.values or operation.status not in ("succeeded", "declined"):
        return None
    kind = Kind(operation.kind)
    entry = Transaction.objects.filter(order_id=order_id, kind=kind).first()
    if entry is None or (entry.key, f"{entry.amount:.2f}", entry.currency) != (
        operation.key,
        operation.amount,
        operation.currency,
    ):
        return None
    return kind, _outcome(operation)


def _outcome(operation: Operation) -> Outcome:
    if operation.status == "succeeded":
        return Outcome("succeeded", provider_id=operation.id[:64])
    return Outcome("declined", code=masked(operation.code)[:40], message=masked(operation.message)[:200])


def forget_before(moment: datetime) -> int:
    """Delete the events received before `moment`. Return how many."""
    return int(WebhookEvent.objects.filter(received_at__lt=moment).delete()[0])
