"""The e-mail provider: accepts messages, delivers none, shows them."""

import hashlib
import sqlite3
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from sandbox.refusals import Refusal

KEPT = 50_000  # messages; bounds the disk space of long load tests


class Message(msgspec.Struct, frozen=True):
    to: Annotated[str, msgspec.Meta(pattern=r"^[^@\s]+@[^@\s]+$", max_length=320)]
    subject: Annotated[str, msgspec.Meta(max_length=998)]
    text: str
    html: str = ""


class Mailbox:
    def __init__(self, book: sqlite3.Connection) -> None:
        self._book = book

    def accept(self, *, key: str, message: Message) -> dict[str, Any]:
        """Store the message, or replay the first answer."""
        name = f"msg_{hashlib.sha256(key.encode()).hexdigest()[:24]}"
        fingerprint = hashlib.sha256(msgspec.json.encode(message)).hexdigest()
        taken = self._book.execute(
            "INSERT INTO messages (id, recipient, subject, text, html, fingerprint, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING RETURNING number",
            (name, message.to, message.subject, message.text, message.html, fingerprint, _now()),
        ).fetchone()
        if taken is None:
            self._check_same(name, fingerprint)
        elif taken["number"] % 1000 == 0:
            self._book.execute("DELETE FROM messages WHERE number <= ?", (taken["number"] - KEPT,))
        return {"id": name}

    def newest(self, *, to: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest messages, to all if `to` is empty."""
        rows = self._book.execute(
            "SELECT * FROM messages WHERE (:to = '' OR recipient = :to) ORDER BY number DESC LIMIT :limit",
            {"to": to, "limit": limit},
        )
        return [_as_json(row) for row in rows]

    def clear(self) -> None:
        self._book.execute("DELETE FROM messages")

    def _check_same(self, name: str, fingerprint: str) -> None:
        first = self._book.execute("SELECT fingerprint FROM messages WHERE id = ?", (name,)).fetchone()
        if first["fingerprint"] != fingerprint:
            raise Refusal(422, "idempotency_conflict", "This Idempotency-Key was used with another message.")


def _as_json(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "to": row["recipient"],
        "subject": row["subject"],
        "text": row["text"],
        "html": row["html"],
        "createdAt": row["created_at"],
    }


def _now() -> str:
    return datetime.now(UTC).isoformat()
