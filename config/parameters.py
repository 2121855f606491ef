"""Refuses query parameters that an operation's description does not have: a typo is no filter."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter

from api.operations import schema_of
from api.problems import Detail, Problem
from config import errors

EVERYWHERE = frozenset({"format"})  # of DRF: the answer's format


class RefusesUnknownParameters:
    """Answers 400 to unknown query parameters of described operations."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        """Return the refusal, or None."""
        if not request.META.get("QUERY_STRING") or not hasattr(view, "cls"):
            return None
        known = _known_parameters(view.cls, "GET" if request.method == "HEAD" else str(request.method))
        unknown = [name for name in request.GET if name not in known] if known is not None else []
        return errors.response_to(_problem(unknown), request) if unknown else None


@cache
def _known_parameters(view: type[Any], method: str) -> frozenset[str] | None:
    """Return the query parameters that an operation describes; None for one that is not described."""
    schema = schema_of(view, method)
    if schema is None or schema.is_excluded():
        return None
    return EVERYWHERE.union(*map(_names, schema.get_override_parameters()))


def _names(parameter: Any) -> set[str]:
    if isinstance(parameter, OpenApiParameter):
        return {parameter.name} if parameter.location == OpenApiParameter.QUERY else set()
    return set(parameter().fields)


def _problem(unknown: list[str]) -> Problem:
    message = "There is no such query parameter."
    details = tuple(Detail("unknown_parameter", message, name[:80]) for name in unknown[:50])
    return Problem("unknown_parameter", message, field=unknown[0][:80], details=details)
