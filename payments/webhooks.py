"""Webhooks of the payment provider: authentication, deduplication, parsing.

The signature authenticates the sender and prevents replay; two secrets are accepted during rotation:

    Webhook-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "<t>.<raw body>">[,v1=…]
    {"id": "evt_…", "operation": {"kind": "capture", "status": "succeeded", "id": "cap_…", "key": "…",
                                  "reference": "…", "amount": "12.34", "currency": "USD"}}

An event counts as one more answer to our call and passes the ledger's guarded updates, so order, number and
age of events do not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from payments.gateways.protocol import Outcome
from payments.ledger import Kind
from payments.models import Transaction, WebhookEvent
from providers.answers import (
    LONGEST_CODE,
    LONGEST_MESSAGE,
    Unreadable,
    parse,
    read_id,
    read_words,
)
from runtime import signatures
from telemetry.card_numbers import holds_card_number, masked

LARGEST_BODY = 64 * 1024  # bytes
LONGEST_NAME = 100  # characters, of ids, keys and references
WINDOW = timedelta(seconds=300)
# Longer than any sender retries.
EVENTS_ARE_KEPT = timedelta(days=7)


class NotGenuine(Exception):
    """The signature is missing, invalid or too old."""


class NotUnderstood(Exception):
    """Signed, but unreadable."""


class NotForUs(Exception):
    """Genuine, but of an unused type."""

    def __init__(self, event_type: str) -> None:
        super().__init__(event_type)
        self.event_type = event_type


@dataclass(frozen=True, slots=True)
class Operation:
    """The provider's operation. Unknown fields are ignored."""

    id: str
    kind: str
    status: str
    reference: str
    key: str
    amount: str
    currency: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook's body."""

    id: str
    operation: Operation


def verify(*, header: str, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise NotGenuine unless signed with a secret, within the window around `now`."""
    try:
        signatures.verify(header, body=body, secrets=secrets, now=now, window=WINDOW)
    except signatures.BadSignature as error:
        raise NotGenuine(str(error)) from error


def read(body: bytes) -> Event:
    """Parse a body. Raises NotUnderstood, or NotForUs without an operation."""
    content = parse(body)
    if isinstance(content, dict) and not content.get("operation"):
        raise NotForUs(_type_of(content))
    try:
        event = Event(read_id(content, "id", longest=LONGEST_NAME), _operation(content))
    except Unreadable as error:
        raise NotUnderstood(str(error)) from None
    if any(map(holds_card_number, (event.id, event.operation.id, event.operation.key))):
        raise NotUnderstood("An event is not named by a card number.")
    return event


def _operation(content: Any) -> Operation:
    operation = content.get("operation")
    return Operation(
        id=read_id(operation, "id"),
        kind=read_id(operation, "kind"),
        status=read_id(operation, "status"),
        reference=read_id(operation, "reference", longest=LONGEST_NAME),
        key=read_id(operation, "key", longest=LONGEST_NAME),
        amount=read_id(operation, "amount"),
        currency=read_id(operation, "currency"),
        code=read_words(operation, "code", longest=LONGEST_CODE),
        message=read_words(operation, "message", longest=LONGEST_MESSAGE),
    )


def _type_of(content: dict[str, Any]) -> str:
    """Masked: its content is untrusted."""
    event_type = content.get("type")
    return masked(event_type)[:60] if isinstance(event_type, str) and event_type.isprintable() else ""


def is_new(event: Event) -> bool:
    """Record an event; False for a duplicate. Waits for a concurrent insert."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_webhookevent (id, key) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [event.id, event.operation.key],
        )
        return cursor.rowcount == 1


def late_outcome_of(event: Event, *, order_id: int) -> tuple[Kind, Outcome] | None:
    """Return the kind and outcome an event reports.

    None if we sent no such call, the amount differs, or the status is not final.
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
        return Outcome("succeeded", provider_id=operation.id)
    return Outcome("declined", code=operation.code, message=operation.message)


def forget_before(moment: datetime) -> int:
    """Delete events received before `moment`. Return how many."""
    return int(WebhookEvent.objects.filter(received_at__lt=moment).delete()[0])
