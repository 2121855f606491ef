"""Idempotency-Keys: a repeated request gets the first answer, and the work is done once.

The key is stored in the transaction of the work; a concurrent repeat waits on its unique index. Errors are not
stored: a repeat may succeed. Placing an order stores its id instead of the answer (`orders.placing.single`).
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from django.db import OperationalError, transaction
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from api.models import IdempotencyKey, KeyReused
from api.problems import Problem
from api.renderers import ENCODER

KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")
# Headers stored with an answer.
HEADERS = ("Location", "ETag")


def answer_once(
    request: Request, answer: Callable[[], Response], *, once_only: Sequence[str] = ()
) -> Response:
    """Return `answer()`, or the stored answer of a repeat. Raises Problem.

    Fields that are `once_only`, such as secrets, are stored as null.
    """
    key = key_of(request)
    if not key:
        return answer()
    owner_id, fingerprint = int(request.user.pk or 0), _fingerprint(request)
    with transaction.atomic():
        with key_problems():
            if not IdempotencyKey.objects.claim(owner_id=owner_id, key=key, fingerprint=fingerprint):
                return _replay(IdempotencyKey.objects.get(owner_id=owner_id, key=key), fingerprint)
        response = answer()
        body = ENCODER.encode(response.data)
        _store_answer(owner_id, key, response, _without(body, once_only))
    response.data = msgspec.Raw(body)
    return response


def once(
    *, owner_id: int, key: str, identity: Sequence[Any], work: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return `work()`, which JSON can store, or what the key's first work returned. Raises Problem.

    `identity`: what must be equal in a repeat.
    """
    fingerprint = _digest(identity)
    with transaction.atomic():
        with key_problems():
            if not IdempotencyKey.objects.claim(owner_id=owner_id, key=key, fingerprint=fingerprint):
                stored = IdempotencyKey.objects.get(owner_id=owner_id, key=key)
                return _answer_of(stored, fingerprint)
        answer = work()
        IdempotencyKey.objects.store_answer(
            owner_id=owner_id, key=key, status_code=status.HTTP_200_OK, answer=answer
        )
    return answer


def key_of(request: Request) -> str:
    """Return the Idempotency-Key or "". Raises Problem."""
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return ""
    if not KEY.fullmatch(key):
        message = "An Idempotency-Key is 1 to 200 printable ASCII characters."
        raise Problem("invalid_idempotency_key", message, field="Idempotency-Key")
    return key


@contextmanager
def key_problems() -> Iterator[None]:
    """Turn errors about the key into Problems."""
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
        if not _is_lock_timeout_on_key(error.__cause__):
            raise
        raise Problem(
            "in_progress",
            "The first request with this Idempotency-Key is still under way.",
            field="Idempotency-Key",
            status_code=status.HTTP_409_CONFLICT,
            retry_after=1,
        ) from None


def _is_lock_timeout_on_key(error: BaseException | None) -> bool:
    """Whether a concurrent key caused the lock timeout."""
    context = error.diag.context if isinstance(error, psycopg.errors.LockNotAvailable) else None
    return IdempotencyKey._meta.db_table in (context or "")


def _fingerprint(request: Request) -> bytes:
    return _digest([request.method, request.get_full_path(), request.data])


def _digest(identity: Sequence[Any]) -> bytes:
    return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).digest()


def _without(body: bytes, once_only: Sequence[str]) -> bytes:
    if not once_only:
        return body
    content: dict[str, Any] = msgspec.json.decode(body)
    return ENCODER.encode(content | dict.fromkeys(once_only))


def _store_answer(owner_id: int, key: str, response: Response, body: bytes) -> None:
    headers = {name: response[name] for name in HEADERS if response.has_header(name)}
    # Text: a repeat is identical byte by byte.
    answer = {"headers": headers, "body": body.decode()}
    IdempotencyKey.objects.store_answer(
        owner_id=owner_id, key=key, status_code=response.status_code, answer=answer
    )


def _replay(stored: IdempotencyKey, fingerprint: bytes) -> Response:
    answer = _answer_of(stored, fingerprint)
    body = msgspec.Raw(answer["body"].encode())
    headers = answer["headers"] | {"Idempotency-Replayed": "true"}
    return Response(body, status=stored.status_code, headers=headers)


def _answer_of(stored: IdempotencyKey, fingerprint: bytes) -> dict[str, Any]:
    if bytes(stored.request_hash) != fingerprint:
        raise KeyReused
    answer: dict[str, Any] = stored.answer
    return answer
