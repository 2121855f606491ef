"""Until when providers hold authorized money, and what happens to the ledger when they no longer do."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models.functions import Now

from payments.balance import next_number
from payments.gateways import GatewayUnknown, gateway
from payments.models import Transaction, create_on

Kind = Transaction.Kind
State = Transaction.State

# Of a capture that the provider declines, and of the void that stands for an expiry.
CODE = "authorization_expired"


def expires_after(name: str) -> timedelta | None:
    """Return how long a gateway's provider holds an authorization; None: for ever, or the gateway is not in use."""
    try:
        return gateway(name).capabilities.authorization_expires_after
    except GatewayUnknown:
        return None


def expires_at(book: Sequence[Transaction]) -> datetime | None:
    """Return until when the provider holds what is not captured; None if nothing is held, or for ever."""
    done = [entry for entry in book if entry.state == State.SUCCEEDED]
    held = next((entry for entry in done if entry.kind == Kind.AUTHORIZE), None)
    taken = sum((e.amount for e in done if e.kind in (Kind.CAPTURE, Kind.VOID)), Decimal(0))
    if held is None or taken >= held.amount or (after := expires_after(held.gateway)) is None:
        return None
    return held.finished_at + after if held.finished_at else None


def record(amount: Decimal, book: Sequence[Transaction]) -> None:
    """Record that the provider released the rest of an authorization by itself: a void without a call."""
    held = next(entry for entry in book if entry.kind == Kind.AUTHORIZE)
    create_on(
        held,
        kind=Kind.VOID,
        number=next_number(book, Kind.VOID),
        amount=amount,
        state=State.SUCCEEDED,
        code=CODE,
        provider_parent=held.provider_id,
        started_at=Now(),
        finished_at=Now(),
    )
