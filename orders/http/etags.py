"""ETags of orders, and the conditions on them."""

import hashlib

from rest_framework import status
from rest_framework.request import Request

from api.problems import Problem


def etag_of(version: int, body: bytes) -> str:
    """Return version and digest: payments and permissions change only the body."""
    return f'"{version}-{hashlib.sha256(body).hexdigest()[:16]}"'


def is_not_modified(request: Request, etag: str) -> bool:
    """Return whether If-None-Match names the ETag; weak ones count."""
    named = {tag.removeprefix("W/") for tag in _tags(request, "If-None-Match")}
    return bool({etag, "*"} & named)


def check_precondition(request: Request, etag: str) -> None:
    """Raise Problem unless If-Match, if sent, names the ETag. Weak ones never match (RFC 9110)."""
    if "If-Match" in request.headers and not {etag, "*"} & set(_tags(request, "If-Match")):
        raise Problem(
            "precondition_failed",
            "The order has changed since this ETag. Read it again, then decide.",
            field="If-Match",
            status_code=status.HTTP_412_PRECONDITION_FAILED,
            headers={"ETag": etag},
        )


def _tags(request: Request, header: str) -> list[str]:
    return [tag.strip() for tag in request.headers.get(header, "").split(",")]
