"""Keyset pagination, newest first: stable under inserts, without counting rows."""

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from api.problems import Problem

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200
LARGEST_ID = 2**63 - 1

ModelType = TypeVar("ModelType", bound=Model)

CURSOR = OpenApiParameter(
    "cursor",
    {"type": "integer", "minimum": 1, "maximum": LARGEST_ID},
    description="Start of the page, from the `next` of the previous one.",
)
PAGE_PARAMETERS = [
    CURSOR,
    OpenApiParameter(
        "pageSize",
        {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE},
        description="Maximum number of results.",
    ),
]


def newest_first(request: Request, rows: QuerySet[ModelType]) -> tuple[list[ModelType], str | None]:
    """Return a page and the URL of the next. Raises Problem."""
    size = whole(request, "pageSize", default=DEFAULT_PAGE_SIZE, at_least=1, at_most=MAX_PAGE_SIZE)
    before = whole(request, "cursor", default=LARGEST_ID, at_least=1, at_most=LARGEST_ID)
    if before != LARGEST_ID:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: size + 1])
    page = found[:size]
    return page, address(request, cursor=page[-1].pk) if len(found) > size else None


def address(request: Request, **parameters: Any) -> str:
    """Return the request's URL with query parameters replaced."""
    url = request.build_absolute_uri()
    for name, value in parameters.items():
        url = replace_query_param(url, name, value)
    return url


def whole(request: Request, name: str, *, default: int, at_least: int, at_most: int) -> int:
    """Return a query parameter as an integer. Raises Problem."""
    text = request.query_params.get(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not at_least <= number <= at_most:
        raise Problem("invalid_parameter", f"A whole number from {at_least} to {at_most}.", field=name)
    return number
