"""Refuses query parameters that an operation's description does not have, or not twice: a typo is no filter."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter

from api.operations import schema_of
from api.problems import Detail, Problem
from config import errors

EVERYWHERE = frozenset({"format"})  # of DRF: the answer's format


class RefusesUnknownParameters:
    """Answers 400 to unknown and repeated query parameters of described operations."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        if not request.META.get("QUERY_STRING") or not hasattr(view, "cls"):
            return None
        known = _known_parameters(view.cls, "GET" if request.method == "HEAD" else str(request.method))
        problem = None if known is None else _problem_of(request, known)
        return errors.response_to(problem, request) if problem else None


@cache
def _known_parameters(view: type[Any], method: str) -> Mapping[str, bool] | None:
    """Whether each query parameter may be repeated; None for an operation that is not described."""
    schema = schema_of(view, method)
    if schema is None or schema.is_excluded():
        return None
    known = dict.fromkeys(EVERYWHERE, False)
    for parameter in schema.get_override_parameters():
        known |= _repeatable(parameter)
    return known


def _repeatable(parameter: Any) -> dict[str, bool]:
    if isinstance(parameter, OpenApiParameter):
        is_array = isinstance(parameter.type, dict) and parameter.type.get("type") == "array"
        is_query = parameter.location == OpenApiParameter.QUERY
        return {parameter.name: parameter.many or is_array} if is_query else {}
    return dict.fromkeys(parameter().fields, False)


def _problem_of(request: HttpRequest, known: Mapping[str, bool]) -> Problem | None:
    if unknown := [name for name in request.GET if name not in known]:
        return _problem("unknown_parameter", "There is no such query parameter.", unknown)
    repeated = [name for name, values in request.GET.lists() if len(values) > 1 and not known[name]]
    return _problem("invalid_parameter", "Give this once.", repeated) if repeated else None


def _problem(code: str, message: str, names: list[str]) -> Problem:
    details = tuple(Detail(code, message, name[:80]) for name in names[:50])
    return Problem(code, message, field=names[0][:80], details=details)
