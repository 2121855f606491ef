"""Strict request parsing, and JSON answers."""

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from sandbox.refusals import Refusal

T = TypeVar("T")

LARGEST_BODY = 1_000_000  # bytes


def answer(status: int, body: Any) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


async def read_body(request: Request, shape: type[T]) -> T:
    """Decode the body. Raises Refusal with the field at fault."""
    body = await request.body()
    if len(body) > LARGEST_BODY:
        raise Refusal(413, "too_large", f"A body has at most {LARGEST_BODY} bytes.")
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at ")
        raise Refusal(422, "invalid_request", message, path.strip("`$.") or None) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "malformed_json", str(error)) from error


def idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if not 0 < len(key) <= 255:
        raise Refusal(400, "idempotency_key_required", "Send an Idempotency-Key of 1 to 255 characters.")
    return key


def limit(request: Request, *, default: int, most: int) -> int:
    text = request.query_params.get("limit", str(default))
    if not (text.isdecimal() and 1 <= int(text) <= most):
        raise Refusal(422, "invalid_request", f"`limit` is a number from 1 to {most}.", "limit")
    return int(text)
