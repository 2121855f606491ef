"""What happens around every request: it is measured; health and metrics answer whatever state the database is in."""

import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from telemetry import measures, tracing

# Addresses that must not touch the session: it lives in the database, whose absence they are to report.
WITHOUT_SESSION = ("/health", "/metrics")
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class WithoutSession:
    """Drops the session cookie of requests to these addresses before anything looks at it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(WITHOUT_SESSION):
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        return self._get_response(request)


class Measured:
    """Counts requests and measures how long they take, by route: addresses themselves are without number."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        given = request.headers.get(tracing.HEADER)
        with tracing.span(f"{request.method} {request.path_info}", parents=[given] if given else []):
            response = self._get_response(request)
        method = str(request.method) if request.method in METHODS else "other"
        route = request.resolver_match.route if request.resolver_match else "unknown"
        measures.HTTP_REQUESTS.add(method, route, str(response.status_code))
        measures.HTTP_SECONDS.observe(time.perf_counter() - started, method, route)
        return response


class NamesRequest:
    """Says in the answer under which id the request is in the logs: the one that django-structlog, around it, made."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        response = self._get_response(request)
        if request_id:
            response.headers["X-Request-ID"] = str(request_id)[:64]
        return response
