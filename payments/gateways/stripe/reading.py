"""Stripe's objects as outcomes. The functions raise Unreadable for what is none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from payments.gateways.protocol import Action, Outcome
from providers.answers import (
    LONGEST_CODE,
    LONGEST_MESSAGE,
    Unreadable,
    read_count,
    read_id,
    read_words,
)

LONGEST_SECRET, LONGEST_URL = 200, 2000
# Webhooks come at once; polls only make up for lost ones.
CHECK_ACTION, CHECK_PROCESSING, CHECK_REFUND = timedelta(minutes=1), timedelta(hours=1), timedelta(hours=6)
# How long a customer has for the confirmation. Stripe has no limit of its own.
ACTION_WINDOW = timedelta(hours=1)

# What an intent says of one kind of call; None: it was never executed.
Reading = Callable[[Any], Outcome | None]


def authorization(intent: Any) -> Outcome | None:
    """Return what became of a confirmed intent; None for one that was not confirmed."""
    intent_id, status = read_id(intent, "id"), read_id(intent, "status")
    match status:
        case "requires_capture" | "succeeded":
            return Outcome("succeeded", provider_id=intent_id)
        case "requires_action":
            return Outcome(
                "action_required", provider_id=intent_id, check_after=CHECK_ACTION, action=_action(intent)
            )
        case "processing":
            return Outcome("pending", provider_id=intent_id, check_after=CHECK_PROCESSING)
        case "requires_payment_method":
            return declined(intent.get("last_payment_error"))
        case "canceled":
            return Outcome("declined", code="canceled", message="The payment was canceled.")
        case "requires_confirmation":
            return None
    raise Unreadable(f"an intent has no status {status!r}")


def capture(intent: Any, *, units: int) -> Outcome | None:
    """Whether so many minor units were captured; None while all is held."""
    intent_id, status = read_id(intent, "id"), read_id(intent, "status")
    match status:
        case "succeeded":
            # A server that does not report the amount is believed.
            if "amount_received" in intent and read_count(intent, "amount_received") != units:
                return Outcome("declined", code="already_captured", message="Another amount was captured.")
            return Outcome("succeeded", provider_id=intent_id)
        case "processing":
            return Outcome("pending", provider_id=intent_id, check_after=CHECK_PROCESSING)
        case "canceled":
            return Outcome("declined", code="authorization_expired", message="The authorization has ended.")
    return None


def void(intent: Any) -> Outcome | None:
    """Whether the intent is canceled, by us or by its expiry; None if it can still be."""
    intent_id, status = read_id(intent, "id"), read_id(intent, "status")
    match status:
        case "canceled":
            return Outcome("succeeded", provider_id=intent_id)
        case "succeeded":
            return Outcome("declined", code="already_captured", message="It was captured: refund it.")
        case "processing":
            return Outcome("pending", check_after=CHECK_PROCESSING)
    return None


def refund(found: Any) -> Outcome:
    refund_id, status = read_id(found, "id"), read_id(found, "status")
    match status:
        case "succeeded":
            return Outcome("succeeded", provider_id=refund_id)
        case "pending" | "requires_action":
            return Outcome("pending", provider_id=refund_id, check_after=CHECK_REFUND)
        case "failed" | "canceled":
            code = read_words(found, "failure_reason", longest=LONGEST_CODE) or f"refund_{status}"
            return Outcome("declined", provider_id=refund_id, code=code, message="The refund failed.")
    raise Unreadable(f"a refund has no status {status!r}")


def declined(error: Any) -> Outcome:
    code = read_words(error, "decline_code", longest=LONGEST_CODE)
    code = code if code and code != "generic_decline" else read_words(error, "code", longest=LONGEST_CODE)
    message = read_words(error, "message", longest=LONGEST_MESSAGE)
    return Outcome("declined", code=code or "declined", message=message)


def metadata(found: Any, name: str) -> str:
    held = found.get("metadata") if isinstance(found, dict) else None
    return read_words(held, name, longest=100)


def _action(intent: Any) -> Action:
    step = intent.get("next_action")
    redirect = step.get("redirect_to_url") if isinstance(step, dict) else None
    url = redirect.get("url") if isinstance(redirect, dict) else None
    secret = intent.get("client_secret")
    created = datetime.fromtimestamp(read_count(intent, "created"), UTC)
    return Action(
        url=url if isinstance(url, str) and len(url) <= LONGEST_URL and url.startswith("https://") else "",
        client_secret=secret if isinstance(secret, str) and len(secret) <= LONGEST_SECRET else "",
        pay_by=created + ACTION_WINDOW,
    )
