"""Middleware: metrics, request ids, security headers, refusal of card numbers."""

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

import structlog
from django.conf import settings
from django.contrib.messages.middleware import MessageMiddleware
from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware

from api.validators import card_number_refused
from config import errors
from telemetry import busy_threads, measures, tracing
from telemetry.card_numbers import holds_card_number

# Sessions live in the database, whose absence these report.
WITHOUT_SESSION = ("/health", "/metrics")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
REQUEST_ID = "X-Request-ID"
# from META: `request.headers` parses all headers
GIVEN_ID, TRACEPARENT = "HTTP_X_REQUEST_ID", f"HTTP_{tracing.HEADER.upper()}"
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class WithoutSession:
    """Drops the session cookie of health and metrics requests."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(WITHOUT_SESSION):
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        return self._get_response(request)


class IgnoresTrailingSlash:
    """Answers the API's addresses with a slash at their end, too: a redirect loses a POST's body."""

    FORMS = "/api/login/"  # Django's own addresses

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if path.endswith("/") and path.startswith("/api/") and not path.startswith(self.FORMS):
            request.path_info = path.rstrip("/")
            request.path = request.path.rstrip("/")
        return self._get_response(request)


class Measured:
    """Measures requests by route: paths are unbounded."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        given = request.META.get(TRACEPARENT)
        busy_threads.here.enter()
        try:
            with tracing.span(f"{request.method} {request.path_info}", parents=[given] if given else []):
                response = self._get_response(request)
        finally:
            busy_threads.here.leave()
        method = str(request.method) if request.method in METHODS else "other"
        route = request.resolver_match.route if request.resolver_match else "unknown"
        measures.HTTP_REQUESTS.add(method, route, str(response.status_code))
        measures.HTTP_SECONDS.observe(time.perf_counter() - started, method, route)
        return response


class Logged(RequestMiddleware):
    """Sets the request id; logs failures only.

    django-structlog's middleware would load the user twice for unwritten lines.
    """

    def prepare(self, request: HttpRequest) -> None:
        """Bind the client's `X-Request-ID`, or a new one, to the log context."""
        given = request.META.get(GIVEN_ID, "")
        is_kept = given and not holds_card_number(given)
        structlog.contextvars.bind_contextvars(request_id=given if is_kept else str(uuid4()))

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        """Log errors, and streams, which may still fail."""
        response.headers[REQUEST_ID] = str(structlog.contextvars.get_contextvars()["request_id"])[:64]
        if response.status_code >= HTTPStatus.BAD_REQUEST or response.streaming:
            super().handle_response(request, response)
        else:
            structlog.contextvars.clear_contextvars()


class MessagesOfPages(MessageMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        if not request.path_info.startswith("/api/"):
            super().process_request(request)


class ContentPolicy:
    """Sets a default Content-Security-Policy: no framing, no inline scripts in the admin.

    The browsable API and its login use inline scripts.
    """

    EVERYWHERE = "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    DESK = f"script-src 'self'; {EVERYWHERE}"

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        policy = self.DESK if request.path_info.startswith("/admin/") else self.EVERYWHERE
        response.headers.setdefault("Content-Security-Policy", policy)
        return response


class NotCached:
    """Forbids caching of API answers by default: most are personal."""

    # The same for every client.
    PUBLIC = ("/api/schema", "/api/asyncapi.yaml")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if request.path_info.startswith("/api") and request.path_info not in self.PUBLIC:
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class RefusesCardNumbers:
    """Refuses card numbers in URLs, forms and keys, before they are stored or logged; `api.validators` covers JSON."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        reads_forms = request.content_type in FORMS and not hasattr(view, "cls")  # views of the API take none
        for field, text in _texts(request, with_form=reads_forms):
            if holds_card_number(text):
                return errors.response_to(card_number_refused(field), request)
        return None


def _texts(request: HttpRequest, *, with_form: bool) -> Iterator[tuple[str, str]]:
    for name, values in request.GET.lists() if request.META.get("QUERY_STRING") else ():
        yield from ((name[:80], value) for value in values)
    yield "", unquote_plus(request.get_full_path())
    yield "Idempotency-Key", request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    for name, values in request.POST.lists() if with_form else ():
        yield "", name
        yield from ((name, str(value)) for value in values)
