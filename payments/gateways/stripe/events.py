"""Stripe's webhooks: the official signature check, and what each type of event means for a call of ours."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import stripe

from payments.gateways.protocol import Event, NotForUs, NotGenuine, NotUnderstood, Outcome
from payments.gateways.signature import WINDOW
from payments.gateways.stripe import reading
from payments.gateways.stripe.amounts import amount_of
from providers.answers import Unreadable, parse, read_count, read_id, read_words

LONGEST_NAME = 100

AUTHORIZED = {"payment_intent.amount_capturable_updated", "payment_intent.payment_failed"}
CAPTURED, VOIDED = {"payment_intent.succeeded"}, {"payment_intent.canceled"}
REFUNDS = {"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"}
DISPUTES = "charge.dispute."


def verify(header: str, body: bytes, *, secrets: Sequence[str], now: datetime) -> None:
    """Raise NotGenuine unless signed with a secret, within the window around `now`."""
    if not any(_is_signed(header, body, secret) for secret in secrets):
        raise NotGenuine("The signature is wrong.")
    signed_at = next(part.partition("=")[2] for part in header.split(",") if part.startswith("t="))
    if abs(now.timestamp() - int(signed_at[:15])) > WINDOW.total_seconds():
        raise NotGenuine("The signature is too old.")


def _is_signed(header: str, body: bytes, secret: str) -> bool:
    try:
        # Without a tolerance: the window is ours, by the database's clock.
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None)
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return False
    return True


def read_event(body: bytes) -> Event:
    """Parse an event. Raises NotUnderstood or NotForUs."""
    content = parse(body)
    try:
        event_type = read_id(content, "type", longest=LONGEST_NAME)
        event_id = read_id(content, "id", longest=LONGEST_NAME)
        data = content.get("data")
        found = data.get("object") if isinstance(data, dict) else None
        if not isinstance(found, dict):
            raise NotForUs(event_type)
        return _event(event_id, event_type, found)
    except Unreadable as error:
        raise NotUnderstood(str(error)) from None


def _event(event_id: str, event_type: str, found: dict[str, Any]) -> Event:
    reference, key = reading.metadata(found, "reference"), reading.metadata(found, "key")
    currency = read_words(found, "currency", longest=3).upper()
    about = Event(event_id, "", Outcome("unknown"), reference, currency=currency)
    if event_type in AUTHORIZED:
        outcome = reading.authorization(found) or Outcome("unknown")
        return about._replace(
            kind="authorize", outcome=outcome, key=key, amount=_amount(found, "amount", currency)
        )
    if event_type in CAPTURED:
        units = read_count(found, "amount_received" if "amount_received" in found else "amount")
        outcome = reading.capture(found, units=units) or Outcome("unknown")
        return about._replace(kind="capture", outcome=outcome, amount=amount_of(units, currency))
    if event_type in VOIDED:
        outcome = reading.void(found) or Outcome("unknown")
        return about._replace(kind="void", outcome=outcome, amount=_amount(found, "amount", currency))
    if event_type in REFUNDS:
        return about._replace(
            kind="refund", outcome=reading.refund(found), key=key, amount=_amount(found, "amount", currency)
        )
    if event_type.startswith(DISPUTES):
        return about._replace(
            kind="dispute",
            outcome=_dispute(found),
            parent=read_words(found, "payment_intent", longest=LONGEST_NAME),
            amount=_amount(found, "amount", currency),
        )
    raise NotForUs(event_type)


def _amount(found: dict[str, Any], name: str, currency: str) -> Decimal:
    return amount_of(read_count(found, name), currency)


def _dispute(found: dict[str, Any]) -> Outcome:
    """A dispute that is lost has taken the money; one that is won has not."""
    dispute_id, status = read_id(found, "id"), read_id(found, "status")
    reason = read_words(found, "reason", longest=40)
    kinds = {"lost": "succeeded", "won": "declined", "warning_closed": "declined"}
    return Outcome(kinds.get(status, "pending"), provider_id=dispute_id, code=reason)  # type: ignore[arg-type]
