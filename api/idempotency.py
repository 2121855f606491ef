"""Requests that may be repeated: the same Idempotency-Key gets the same answer, and the work is done once.

The key is stored in the transaction that does the work, so a request that was cut off left neither. A repeat
that comes while the first is under way waits for it at the key's unique index. Refusals are not stored:
nothing was done, and a repeat may well succeed.

Commands keep their answer with the key. Placing an order keeps the order's id (`orders.commands`): what was asked
for never changes, so neither does what is said of it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from django.db import OperationalError, connection, transaction
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from api.models import IdempotencyKey, KeyReused
from api.problems import Problem
from api.renderers import ENCODER

KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")
# What an answer tells in headers, and a repeat has to tell again.
HEADERS = ("Location", "ETag")


def answer_once(
    request: Request, answer: Callable[[], Response], *, once_only: Sequence[str] = ()
) -> Response:
    """Return `answer()`, or what it was the first time if the request repeats an Idempotency-Key.

    Fields of the answer that are `once_only`, such as secrets, are not stored: a repeat has null for them.
    Raises Problem if the key is no key, belongs to another request, or its first request is still under way.
    """
    key = key_of(request)
    if not key:
        return answer()
    owner_id, fingerprint = int(request.user.pk or 0), _fingerprint(request)
    with transaction.atomic():
        with key_problems():
            if not _claim(owner_id, key, fingerprint):
                return _replay(IdempotencyKey.objects.get(owner_id=owner_id, key=key), fingerprint)
        response = answer()
        body = ENCODER.encode(response.data)
        _remember(owner_id, key, response, _without(body, once_only))
    response.data = msgspec.Raw(body)
    return response


def key_of(request: Request) -> str:
    """Return the Idempotency-Key of a request; empty if it has none. Raises Problem if it is no key."""
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return ""
    if not KEY.fullmatch(key):
        message = "An Idempotency-Key is 1 to 200 printable ASCII characters."
        raise Problem("invalid_idempotency_key", message, field="Idempotency-Key")
    return key


@contextmanager
def key_problems() -> Iterator[None]:
    """Say what is wrong with the request's key, if what is done inside finds that something is."""
    try:
        yield
    except KeyReused:
        raise Problem(
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request.",
            field="Idempotency-Key",
            status_code=status.HTTP_422_UNPROCESSABLE_ENTITY,
        ) from None
    except OperationalError as error:
        if not _waited_for_a_key(error.__cause__):
            raise
        raise Problem(
            "in_progress",
            "The first request with this Idempotency-Key is still under way.",
            field="Idempotency-Key",
            status_code=status.HTTP_409_CONFLICT,
            retry_after=1,
        ) from None


def _waited_for_a_key(error: BaseException | None) -> bool:
    """Whether it was for somebody who is just storing the same key that PostgreSQL would not wait any longer."""
    context = error.diag.context if isinstance(error, psycopg.errors.LockNotAvailable) else None
    return IdempotencyKey._meta.db_table in (context or "")


def _fingerprint(request: Request) -> bytes:
    asked: list[Any] = [request.method, request.get_full_path(), request.data]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).digest()


def _claim(owner_id: int, key: str, fingerprint: bytes) -> bool:
    """Store the key; False if it is stored already. Waits for a transaction that is just storing it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_idempotencykey (owner_id, key, request_hash, status_code, answer)"
            " VALUES (%s, %s, %s, 0, '{}') ON CONFLICT DO NOTHING",
            [owner_id, key, fingerprint],
        )
        return cursor.rowcount == 1


def _without(body: bytes, once_only: Sequence[str]) -> bytes:
    if not once_only:
        return body
    content: dict[str, Any] = msgspec.json.decode(body)
    return ENCODER.encode(content | dict.fromkeys(once_only))


def _remember(owner_id: int, key: str, response: Response, body: bytes) -> None:
    headers = {name: response[name] for name in HEADERS if response.has_header(name)}
    # The body is kept as text, so that a repeat is the same to the byte.
    answer = json.dumps({"headers": headers, "body": body.decode()})
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_idempotencykey SET status_code = %s, answer = %s WHERE owner_id = %s AND key = %s",
            [response.status_code, answer, owner_id, key],
        )


def _replay(stored: IdempotencyKey, fingerprint: bytes) -> Response:
    if bytes(stored.request_hash) != fingerprint:
        raise KeyReused
    body = msgspec.Raw(stored.answer["body"].encode())
    headers = stored.answer["headers"] | {"Idempotency-Replayed": "true"}
    return Response(body, status=stored.status_code, headers=headers)
