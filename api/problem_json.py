"""RFC 9457: errors as `application/problem+json`, for clients whose Accept header prefers it."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"
JSON = "application/json"


def is_preferred(accept: str) -> bool:
    """Whether an Accept header names problem+json, and rates JSON no higher."""
    if MEDIA_TYPE not in accept.lower():
        return False
    qualities = dict(map(_quality, accept.lower().split(",")))
    wanted = qualities.get(MEDIA_TYPE, 0.0)
    return wanted > 0 and wanted >= qualities.get(JSON, 0.0)


def _quality(item: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in item.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return name, float(parameter.removeprefix("q="))
            except ValueError:
                return name, 0.0
    return name, 1.0


def type_of(code: str) -> str:
    """Return the address of a code's page, relative to the API's own."""
    return f"/errors/{code}"


def problem_of(
    *, status: int, code: str, message: str, field: str, details: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """Return the members of RFC 9457, and `code`, `field` and `errors` as extensions."""
    problem: dict[str, Any] = {
        "type": type_of(code),
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "code": code,
    }
    if field:
        problem["field"] = field
    if errors := list(details):
        problem["errors"] = errors
    return problem
