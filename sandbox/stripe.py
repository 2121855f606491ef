"""An account at Stripe, as far as payments with manual capture need it: intents, refunds, keys and errors.

As documented by Stripe: a key replays its first answer, another body under it is refused, one intent is confirmed,
captured or canceled once, a partial capture releases the rest.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.book import transaction

Object = dict[str, Any]
Fields = Mapping[str, str]

DECLINES = {
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
}
NEEDS_CUSTOMER = {"pm_card_authenticationRequired", "pm_card_threeDSecure2Required"}
IS_SLOW = {"pm_debit"}  # processing for days
REFUND_STATUS = {"pm_card_pendingRefund": "pending", "pm_card_refundFail": "succeeded"}
CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")


@dataclass
class StripeError(Exception):
    """A refusal in Stripe's form."""

    status: int
    code: str
    message: str
    type: str = "invalid_request_error"
    decline_code: str = ""
    intent: Object | None = None

    def answer(self) -> Object:
        error: Object = {"type": self.type, "code": self.code, "message": self.message}
        if self.decline_code:
            error["decline_code"] = self.decline_code
        return {"error": error | ({"payment_intent": self.intent} if self.intent else {})}


class StripeAccount:
    """The objects of one account. Changes are committed; `changed` gets each with its event type."""

    def __init__(self, book: sqlite3.Connection, changed: Callable[[str, Object], None]) -> None:
        self._book, self._changed = book, changed

    def once(self, key: str, request: str, act: Callable[[], Object]) -> tuple[int, Object]:
        """Act under a key, or replay its first answer."""
        print_ = hashlib.sha256(request.encode()).hexdigest()
        with transaction(self._book):
            row = self._book.execute("SELECT * FROM stripe_keys WHERE key = ?", (key,)).fetchone()
            if row and row["fingerprint"] != print_:
                message = "Keys for idempotent requests can only be used with the same parameters."
                return 400, StripeError(400, "", message, type="idempotency_error").answer()
            if row:
                return row["status"], json.loads(row["body"])
            try:
                status, body = 200, act()
            except StripeError as error:
                status, body = error.status, error.answer()
            self._book.execute(
                "INSERT INTO stripe_keys VALUES (?, ?, ?, ?)", (key, print_, status, json.dumps(body))
            )
        return status, body

    def forget_keys(self) -> None:
        """Forget all keys, as Stripe may after a day."""
        self._book.execute("DELETE FROM stripe_keys")

    # --- Intents ---

    def create(self, fields: Fields) -> Object:
        token, amount = fields.get("payment_method", ""), fields.get("amount", "")
        if not (amount.isdecimal() and int(amount)):
            raise StripeError(400, "parameter_invalid_integer", "The amount must be at least 1.")
        if not token.startswith("pm_"):
            raise StripeError(400, "resource_missing", f"No such PaymentMethod: '{token}'")
        intent = {
            "id": self._new_id("pi", json.dumps(dict(fields))),
            "object": "payment_intent",
            "amount": int(amount),
            "amount_received": 0,
            "currency": fields["currency"],
            "capture_method": fields.get("capture_method", "automatic"),
            "payment_method": token,
            "metadata": _metadata(fields),
            "status": "requires_confirmation",
            "created": int(time.time()),
            "latest_charge": None,
            "next_action": None,
            "last_payment_error": None,
        }
        intent["client_secret"] = f"{intent['id']}_secret_sandbox"
        return self._save(intent)

    def confirm(self, intent_id: str, fields: Fields) -> Object:
        """Confirm an intent: it is held, declined, processed, or up to the customer."""
        intent = self.intent(intent_id)
        _expect(intent, "requires_confirmation", "requires_payment_method")
        token = intent["payment_method"]
        if token in NEEDS_CUSTOMER:
            url = f"https://hooks.stripe.example/3d_secure/{intent_id}?return={fields.get('return_url', '')}"
            intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": {"url": url}}
            return self._save(intent | {"status": "requires_action"}, "payment_intent.requires_action")
        if token in IS_SLOW:
            return self._save(intent | {"status": "processing"}, "payment_intent.processing")
        if decline := DECLINES.get(token):
            raise self._declined(intent, decline)
        return self._held(intent)

    def capture(self, intent_id: str, fields: Fields) -> Object:
        intent = self.intent(intent_id)
        _expect(intent, "requires_capture")
        units = int(fields.get("amount_to_capture", intent["amount"]))
        if not 0 < units <= intent["amount"]:
            raise StripeError(400, "amount_too_large", "More than is capturable.")
        charge = intent["latest_charge"] | {"captured": True, "amount_captured": units}
        intent |= {"status": "succeeded", "amount_received": units, "latest_charge": charge}
        return self._save(intent, "payment_intent.succeeded")

    def cancel(self, intent_id: str, _fields: Fields) -> Object:
        intent = self.intent(intent_id)
        _expect(intent, *CANCELABLE)
        return self._save(intent | {"status": "canceled", "next_action": None}, "payment_intent.canceled")

    def refund(self, fields: Fields) -> Object:
        intent = self.intent(fields.get("payment_intent", ""))
        _expect(intent, "succeeded")
        charge = intent["latest_charge"]
        left = intent["amount_received"] - charge["amount_refunded"]
        units = int(fields.get("amount", left))
        if not 0 < units <= left:
            code = "charge_already_refunded" if not left else "amount_too_large"
            raise StripeError(400, code, f"Only {left} are left to refund.")
        charge["amount_refunded"] += units
        self._save(intent)
        status = REFUND_STATUS.get(intent["payment_method"], "succeeded")
        refund = {
            "id": self._new_id("re", f"{intent['id']}{charge['amount_refunded']}{time.time_ns()}"),
            "object": "refund",
            "payment_intent": intent["id"],
            "amount": units,
            "currency": intent["currency"],
            "metadata": _metadata(fields),
            "status": status,
            "created": int(time.time()),
        }
        return self._save(refund, "refund.created")

    # --- What happens without a call ---

    def settle(self, object_id: str, to: str) -> Object:
        """Have the customer, the bank or time decide: succeeded, failed, expired, or an hour older."""
        found = self._object(object_id)
        if found["object"] == "refund":
            return self._settle_refund(found, to)
        if to == "expired":
            return self._save(found | {"status": "canceled"}, "payment_intent.canceled")
        if to == "an_hour_older":
            return self._save(found | {"created": found["created"] - 3600})
        _expect(found, "processing", *CANCELABLE)
        if to == "succeeded":
            return self._held(found | {"next_action": None})
        self._declined(found | {"next_action": None}, "authentication_failed")
        return self.intent(object_id)

    def _settle_refund(self, refund: Object, to: str) -> Object:
        if to == "failed":
            intent = self.intent(refund["payment_intent"])
            intent["latest_charge"]["amount_refunded"] -= refund["amount"]
            self._save(intent)
            refund |= {"status": "failed", "failure_reason": "lost_or_stolen_card"}
            return self._save(refund, "refund.failed")
        return self._save(refund | {"status": to}, "refund.updated")

    def _held(self, intent: Object) -> Object:
        charge = {
            "id": f"ch_{intent['id'][3:]}",
            "status": "succeeded",
            "amount": intent["amount"],
            "amount_refunded": 0,
            "captured": False,
        }
        intent |= {"status": "requires_capture", "latest_charge": charge}
        return self._save(intent, "payment_intent.amount_capturable_updated")

    def _declined(self, intent: Object, decline: str) -> StripeError:
        error = StripeError(402, "card_declined", "Your card was declined.", "card_error", decline)
        intent["last_payment_error"] = error.answer()["error"]
        self._save(intent | {"status": "requires_payment_method"}, "payment_intent.payment_failed")
        error.intent = {"id": intent["id"]}
        return error

    # --- Reading ---

    def intent(self, intent_id: str) -> Object:
        return self._object(intent_id)

    def listed(self, kind: str, query: Fields) -> Object:
        """Return a page of intents or refunds, newest first."""
        size = int(query.get("limit", 10))
        rows = self._book.execute(
            "SELECT body FROM stripe_objects WHERE kind = :kind AND (:parent = '' OR parent = :parent)"
            " AND created >= :since AND (:after = '' OR rowid < (SELECT rowid FROM stripe_objects WHERE id = :after))"
            " ORDER BY rowid DESC LIMIT :size",
            {
                "kind": kind,
                "parent": query.get("payment_intent", ""),
                "since": int(query.get("created[gte]", 0)),
                "after": query.get("starting_after", ""),
                "size": size + 1,
            },
        ).fetchall()
        found = [json.loads(row["body"]) for row in rows]
        return {"object": "list", "data": found[:size], "has_more": len(found) > size}

    def _object(self, object_id: str) -> Object:
        row = self._book.execute("SELECT body FROM stripe_objects WHERE id = ?", (object_id,)).fetchone()
        if row is None:
            raise StripeError(404, "resource_missing", f"No such object: '{object_id}'")
        found: Object = json.loads(row["body"])
        return found

    def _save(self, found: Object, event_type: str = "") -> Object:
        self._book.execute(
            "INSERT INTO stripe_objects (id, kind, parent, created, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (
                found["id"],
                found["object"],
                found.get("payment_intent", ""),
                found["created"],
                json.dumps(found),
            ),
        )
        if event_type:
            self._changed(event_type, found)
        return found

    def _new_id(self, prefix: str, seed: str) -> str:
        digest = hashlib.sha256(f"{seed}{time.time_ns()}".encode()).hexdigest()
        return f"{prefix}_{digest[:24]}"


def _expect(intent: Object, *statuses: str) -> None:
    if intent["status"] not in statuses:
        message = f"This PaymentIntent has a status of {intent['status']}."
        raise StripeError(400, "payment_intent_unexpected_state", message, intent={"id": intent["id"]})


def _metadata(fields: Fields) -> dict[str, str]:
    return {
        name[len("metadata[") : -1]: value for name, value in fields.items() if name.startswith("metadata[")
    }
