"""The only door to the table of idempotency keys."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from django.db import connection, models

from database.arrays import texts, words

# Part of a statement that does the work as well: stores a key with an answer, and yields the answer's `orderId` as
# `id`; a stored key yields none. Waits for a concurrent transaction with the key.
TAKE_KEY = """
    INSERT INTO orders_idempotencykey (owner_id, key, request_hash, status_code, answer)
    SELECT %(owner_id)s::bigint, %(key)s::text, %(fingerprint)s::bytea, 201, {answer}
    ON CONFLICT DO NOTHING RETURNING (answer->'orderId')::bigint AS id
"""

CLAIM = """
    INSERT INTO orders_idempotencykey (owner_id, key, request_hash, status_code, answer)
    VALUES (%s, %s, %s, 0, '{}') ON CONFLICT DO NOTHING
"""

# Ordered by key, against deadlocks between chunks.
CLAIM_MANY = """
    INSERT INTO orders_idempotencykey (owner_id, key, request_hash, status_code, answer)
    SELECT %s, key, decode(fingerprint, 'hex'), 201, answer
    FROM unnest(%s::text[], %s::text[], %s::jsonb[]) AS k(key, fingerprint, answer) ORDER BY key
    ON CONFLICT DO NOTHING RETURNING key
"""

STORED = """
    SELECT key, request_hash, answer FROM orders_idempotencykey WHERE owner_id = %s AND key = ANY(%s::text[])
"""


class Claim(NamedTuple):
    """A key to store: the request's fingerprint, and the answer as JSON."""

    key: str
    fingerprint: bytes
    answer: str


class IdempotencyKeyManager(models.Manager):
    """The keys of an account's requests, with their answers."""

    def claim(self, *, owner_id: int, key: str, fingerprint: bytes) -> bool:
        """Store a key whose answer comes later, waiting for concurrent transactions; False if it exists."""
        with connection.cursor() as cursor:
            cursor.execute(CLAIM, [owner_id, key, fingerprint])
            return cursor.rowcount == 1

    def claim_many(self, *, owner_id: int, claims: Sequence[Claim]) -> set[str]:
        """Store keys with their answers. Return those that are new."""
        columns = [
            texts(claim.key for claim in claims),
            words(claim.fingerprint.hex() for claim in claims),
            texts(claim.answer for claim in claims),
        ]
        with connection.cursor() as cursor:
            cursor.execute(CLAIM_MANY, [owner_id, *columns])
            return {key for (key,) in cursor.fetchall()}

    def store_answer(self, *, owner_id: int, key: str, status_code: int, answer: Mapping[str, Any]) -> None:
        self.filter(owner_id=owner_id, key=key).update(status_code=status_code, answer=answer)

    def stored(self, *, owner_id: int, keys: Collection[str]) -> dict[str, tuple[bytes, dict[str, Any]]]:
        if not keys:
            return {}
        with connection.cursor() as cursor:
            cursor.execute(STORED, [owner_id, texts(keys)])
            return {
                key: (bytes(fingerprint), msgspec.json.decode(answer))
                for key, fingerprint, answer in cursor.fetchall()
            }
