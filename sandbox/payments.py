"""The payment provider; every operation is idempotent by key."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec

from sandbox.book import open_for_reading, transaction
from sandbox.refusals import Refusal

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Amount = Annotated[str, msgspec.Meta(pattern=r"^\d{1,10}(\.\d{1,3})?$")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$")]

PREFIX = {"authorize": "auth", "capture": "cap", "void": "void", "refund": "ref"}

# Others have two decimals.
NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"

DECLINES = {
    "card_declined": "The card was declined.",
    "insufficient_funds": "The card has insufficient funds.",
    "expired_card": "The card has expired.",
}
DECLINING_TOKENS = {
    "tok_declined": "card_declined",
    "tok_insufficient_funds": "insufficient_funds",
    "tok_expired": "expired_card",
}

# Begins the key of a void by the provider itself.
EXPIRY, EXPIRED = "expiry:", "authorization_expired"

LEDGER = """
SELECT reference, currency,
       SUM(CASE kind WHEN 'authorize' THEN cents ELSE 0 END) AS authorized,
       SUM(CASE kind WHEN 'capture' THEN cents ELSE 0 END) AS captured,
       SUM(CASE kind WHEN 'refund' THEN cents ELSE 0 END) AS refunded,
       SUM(CASE kind WHEN 'void' THEN cents ELSE 0 END) AS voided,
       SUM(kind = 'capture') AS captures
FROM operations WHERE status = 'succeeded'
GROUP BY reference, currency
"""


class Authorization(msgspec.Struct, frozen=True):
    reference: Name
    amount: Amount
    currency: Currency
    token: Name


class Capture(msgspec.Struct, frozen=True):
    authorization: Name
    amount: Amount
    currency: Currency
    reference: Name


class Void(msgspec.Struct, frozen=True):
    authorization: Name
    reference: Name


class Refund(msgspec.Struct, frozen=True):
    capture: Name
    amount: Amount
    currency: Currency
    reference: Name


@dataclass(frozen=True)
class Operation:
    """An entry of the ledger, fields ordered like its columns."""

    digest: str
    key: str
    kind: str
    status: str
    reference: str
    parent: str | None
    cents: int
    currency: str
    code: str
    message: str
    fingerprint: str
    created_at: str

    @property
    def id(self) -> str:
        return f"{PREFIX[self.kind]}_{self.digest}"

    @property
    def http_status(self) -> int:
        return 201 if self.status == "succeeded" else 402

    def as_json(self) -> dict[str, Any]:
        shown = {
            "id": self.id,
            "kind": self.kind,
            "status": self.status,
            "amount": decimal_text(self.cents, self.currency),
            "currency": self.currency,
            "reference": self.reference,
            "key": self.key,
            "createdAt": self.created_at,
        }
        if self.parent:
            shown["capture" if self.kind == "refund" else "authorization"] = self.parent
        if self.code:
            shown |= {"code": self.code, "message": self.message}
        return shown

    def first_answer(self) -> dict[str, Any]:
        """Return the answer of the POST, repeated for every replay."""
        if self.status == "succeeded":
            return self.as_json()
        return {"error": {"code": self.code, "message": self.message}, "operation": self.as_json()}


class PaymentProvider:
    """The rules over the ledger. Results are committed."""

    def __init__(self, book: sqlite3.Connection, path: Path) -> None:
        self._book = book
        self._path = path

    # Money

    def authorize(self, *, key: str, order: Authorization, decline: str = "") -> Operation:
        """Authorize the amount, or record a decline; `decline` overrides the card."""
        draft = _draft("authorize", key, order, reference=order.reference)
        draft = replace(draft, cents=_minor_units(order.amount, order.currency), currency=order.currency)
        code = DECLINING_TOKENS.get(order.token, decline)
        if code:
            draft = replace(draft, status="declined", code=code, message=DECLINES[code])
        return self._insert(draft)

    def capture(self, *, key: str, order: Capture) -> Operation:
        """Capture up to the authorized amount, in as many parts as wanted."""
        draft = _draft("capture", key, order, reference=order.reference, parent=order.authorization)
        draft = replace(draft, cents=_minor_units(order.amount, order.currency), currency=order.currency)
        return self._once(draft, self._check_capture)

    def void(self, *, key: str, order: Void) -> Operation:
        draft = _draft("void", key, order, reference=order.reference, parent=order.authorization)
        return self._once(draft, self._check_void)

    def refund(self, *, key: str, order: Refund) -> Operation:
        draft = _draft("refund", key, order, reference=order.reference, parent=order.capture)
        draft = replace(draft, cents=_minor_units(order.amount, order.currency), currency=order.currency)
        return self._once(draft, self._check_refund)

    def expire(self, authorization: str) -> Operation:
        """Release what is held of an authorization: a void by the provider itself."""
        held = self._by_digest(authorization.partition("_")[2])
        if held is None or held.id != authorization or held.status != "succeeded":
            raise Refusal(404, "authorization_not_found", f"There is no authorization {authorization}.")
        draft = _draft(
            "void", EXPIRY + held.id, Void(held.id, held.reference), reference=held.reference, parent=held.id
        )
        return self._once(replace(draft, code=EXPIRED), self._check_void)

    # Look-ups

    def find(self, *, key: str) -> Operation | None:
        return self._by_digest(_digest(key))

    def of_reference(self, reference: str) -> list[Operation]:
        rows = self._book.execute("SELECT * FROM operations WHERE reference = ? ORDER BY rowid", (reference,))
        return [Operation(*row) for row in rows]

    def ledger(self) -> Iterator[bytes]:
        """Yield JSON lines per reference and currency, from one snapshot."""
        reading = open_for_reading(self._path)
        try:
            rows = reading.execute(LEDGER)
            while page := rows.fetchmany(500):
                yield b"".join(_ledger_line(row) for row in page)
        finally:
            reading.close()

    # Rules

    def _check_capture(self, draft: Operation) -> Operation:
        held = self._parent_of(draft, kind="authorize")
        taken = self._taken_from(held)
        self._check_expiry(held)
        if "void" in taken:
            raise Refusal(409, "authorization_voided", "A voided authorization cannot be captured.")
        left = held.cents - taken.get("capture", 0)
        if not left:
            raise Refusal(409, "already_captured", "This authorization has been captured already.")
        if draft.cents > left:
            raise Refusal(409, "capture_exceeds_authorization", "More than was authorized.", "amount")
        return draft

    def _check_void(self, draft: Operation) -> Operation:
        held = self._parent_of(draft, kind="authorize")
        taken = self._taken_from(held)
        self._check_expiry(held)
        if "void" in taken:
            raise Refusal(409, "already_voided", "This authorization has been voided already.")
        left = held.cents - taken.get("capture", 0)
        if not left:
            raise Refusal(409, "already_captured", "A captured authorization is not voided but refunded.")
        return replace(draft, cents=left, currency=held.currency)

    def _check_expiry(self, held: Operation) -> None:
        if self._by_digest(_digest(EXPIRY + held.id)):
            raise Refusal(409, EXPIRED, "The authorization has expired.")

    def _check_refund(self, draft: Operation) -> Operation:
        taken = self._parent_of(draft, kind="capture")
        left = taken.cents - self._taken_from(taken).get("refund", 0)
        if left == 0:
            raise Refusal(409, "already_refunded", "This capture has been refunded in full already.")
        if draft.cents > left:
            raise Refusal(
                409, "refund_exceeds_capture", f"Only {decimal_text(left, taken.currency)} is left.", "amount"
            )
        return draft

    def _parent_of(self, draft: Operation, *, kind: str) -> Operation:
        prefix, _, digest = (draft.parent or "").partition("_")
        parent = self._by_digest(digest) if prefix == PREFIX[kind] else None
        field = "capture" if kind == "capture" else "authorization"
        if parent is None:
            raise Refusal(404, f"{field}_not_found", f"There is no {field} {draft.parent}.", field)
        if parent.status != "succeeded":
            raise Refusal(409, f"{field}_declined", f"This {field} was declined.", field)
        if parent.reference != draft.reference:
            raise Refusal(409, "reference_mismatch", f"That {field} is another reference's.", "reference")
        if draft.currency and parent.currency != draft.currency:
            raise Refusal(409, "currency_mismatch", f"That {field} is in {parent.currency}.", "currency")
        return parent

    def _taken_from(self, parent: Operation) -> dict[str, int]:
        rows = self._book.execute(
            "SELECT kind, SUM(cents) FROM operations WHERE parent = ? GROUP BY kind", (parent.id,)
        )
        return dict(tuple(row) for row in rows)

    # Entries

    def _once(self, draft: Operation, check: Callable[[Operation], Operation]) -> Operation:
        with transaction(self._book):
            if first := self._by_digest(draft.digest):
                return _replay(first, draft)
            return self._insert(check(draft))

    def _insert(self, draft: Operation) -> Operation:
        if self._book.execute(INSERT, astuple(draft)).rowcount:
            return draft
        first = self._by_digest(draft.digest)
        assert first is not None  # entries are never deleted
        return _replay(first, draft)

    def _by_digest(self, digest: str) -> Operation | None:
        row = self._book.execute("SELECT * FROM operations WHERE digest = ?", (digest,)).fetchone()
        return Operation(*row) if row else None


INSERT = f"""
INSERT INTO operations ({", ".join(f.name for f in fields(Operation))})
VALUES ({", ".join("?" for _ in fields(Operation))}) ON CONFLICT (digest) DO NOTHING
"""  # noqa: S608 - column names of our own


def decimals(currency: str) -> int:
    return 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2


def decimal_text(units: int, currency: str) -> str:
    return str(Decimal(units).scaleb(-decimals(currency)))


def normal_amount(amount: str) -> Decimal:
    """Return the amount as a number: `12.5` equals `12.50`."""
    return Decimal(amount)


def _minor_units(amount: str, currency: str) -> int:
    scaled = Decimal(amount).scaleb(decimals(currency))
    if not scaled or scaled != int(scaled):
        message = f"The amount must be more than nothing, with at most {decimals(currency)} decimals."
        raise Refusal(422, "invalid_amount", message, "amount")
    return int(scaled)


def _draft(
    kind: str, key: str, order: msgspec.Struct, *, reference: str, parent: str | None = None
) -> Operation:
    return Operation(
        digest=_digest(key),
        key=key,
        kind=kind,
        status="succeeded",
        reference=reference,
        parent=parent,
        cents=0,
        currency="",
        code="",
        message="",
        fingerprint=hashlib.sha256(kind.encode() + msgspec.json.encode(order)).hexdigest(),
        created_at=datetime.now(UTC).isoformat(),
    )


def _replay(first: Operation, draft: Operation) -> Operation:
    if first.fingerprint != draft.fingerprint:
        raise Refusal(422, "idempotency_conflict", "This Idempotency-Key was used with another request.")
    return first


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def _ledger_line(row: sqlite3.Row) -> bytes:
    line = {
        "reference": row["reference"],
        "currency": row["currency"],
        "authorized": decimal_text(row["authorized"], row["currency"]),
        "captured": decimal_text(row["captured"], row["currency"]),
        "refunded": decimal_text(row["refunded"], row["currency"]),
        "voided": decimal_text(row["voided"], row["currency"]),
        "captures": row["captures"],
    }
    return msgspec.json.encode(line) + b"\n"
