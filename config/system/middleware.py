"""Health and metrics answer whatever state the database is in."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# Addresses that must not touch the session: it lives in the database, whose absence they are to report.
WITHOUT_SESSION = ("/health", "/metrics")


class WithoutSession:
    """Drops the session cookie of requests to these addresses before anything looks at it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(WITHOUT_SESSION):
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        return self._get_response(request)
