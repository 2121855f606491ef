"""What happens around every request: it is measured; health and metrics answer whatever state the database is in."""

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
from telemetry import measures, tracing
from telemetry.card_numbers import holds_card_number

# Addresses that must not touch the session: it lives in the database, whose absence they are to report.
WITHOUT_SESSION = ("/health", "/metrics")
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
REQUEST_ID = "X-Request-ID"
# As WSGI has them: to have one of `request.headers` Django takes all of them apart, for each request.
GIVEN_ID, TRACEPARENT = "HTTP_X_REQUEST_ID", f"HTTP_{tracing.HEADER.upper()}"
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
        given = request.META.get(TRACEPARENT)
        with tracing.span(f"{request.method} {request.path_info}", parents=[given] if given else []):
            response = self._get_response(request)
        method = str(request.method) if request.method in METHODS else "other"
        route = request.resolver_match.route if request.resolver_match else "unknown"
        measures.HTTP_REQUESTS.add(method, route, str(response.status_code))
        measures.HTTP_SECONDS.observe(time.perf_counter() - started, method, route)
        return response


class Logged(RequestMiddleware):
    """Names the request in the log and in the answer, and says in the log what came of it unless all went well.

    django-structlog's own would look up who is asking, twice, for lines that are not written.
    """

    def prepare(self, request: HttpRequest) -> None:
        """Give every line of the log the client's `X-Request-ID`, or one made up: orders keep it, too."""
        given = request.META.get(GIVEN_ID, "")
        is_kept = given and not holds_card_number(given)
        structlog.contextvars.bind_contextvars(request_id=given if is_kept else str(uuid4()))

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        """Log what was refused or failed; a stream may still fail."""
        response.headers[REQUEST_ID] = str(structlog.contextvars.get_contextvars()["request_id"])[:64]
        if response.status_code >= HTTPStatus.BAD_REQUEST or response.streaming:
            super().handle_response(request, response)
        else:
            structlog.contextvars.clear_contextvars()


class MessagesOfPages(MessageMiddleware):
    """Messages are for people who look at pages; what programs ask for goes without."""

    def process_request(self, request: HttpRequest) -> None:
        """Let a page have messages."""
        if not request.path_info.startswith("/api/"):
            super().process_request(request)


class ContentPolicy:
    """Gives pages that have no policy of their own one that lets nobody frame them, nor put scripts into the desk.

    The browsable API and its login have inline scripts of Django REST framework's own.
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
    """Keeps answers of the API out of caches, a browser's too, unless a view says otherwise: most are personal."""

    # What is the same for everybody.
    PUBLIC = ("/api/schema", "/api/asyncapi.yaml")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if request.path_info.startswith("/api") and request.path_info not in self.PUBLIC:
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response


class RefusesCardNumbers:
    """Refuses card numbers in addresses, forms and keys, before anything keeps or logs them.

    Those in JSON are found where it is read, by `api.validators`, which also names the field.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        """Return the refusal, or nothing if there is none."""
        reads_forms = request.content_type in FORMS and not hasattr(view, "cls")  # views of the API take none
        for field, text in _texts(request, with_form=reads_forms):
            if holds_card_number(text):
                return errors.response_to(card_number_refused(field))
        return None


def _texts(request: HttpRequest, *, with_form: bool) -> Iterator[tuple[str, str]]:
    """Yield what somebody may have written into a request, each with its field."""
    for name, values in request.GET.lists() if request.META.get("QUERY_STRING") else ():
        yield from ((name[:80], value) for value in values)
    yield "", unquote_plus(request.get_full_path())
    yield "Idempotency-Key", request.META.get("HTTP_IDEMPOTENCY_KEY", "")
    for name, values in request.POST.lists() if with_form else ():
        yield "", name
        yield from ((name, str(value)) for value in values)
