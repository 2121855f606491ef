"""Web pages of other sites change nothing here, whoever the browser is logged in as."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.utils.http import is_same_domain

from api.problems import Problem
from config import errors

SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


class RefusesForeignPages:
    """Refuses what a page of another site has a browser send, by the headers that browsers always add.

    Logins by cookie have CSRF tokens besides. In a demo nobody logs in, and a POST without a body is sent by a browser
    without asking us first. A request with a token of its own is its client's own doing, wherever its page is from.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            request.method not in SAFE_METHODS
            and "HTTP_AUTHORIZATION" not in request.META
            and _is_foreign(request)
        ):
            message = "Pages of other sites may change nothing here."
            return errors.response_to(Problem("foreign_origin", message, status_code=403))
        return self._get_response(request)


def _is_foreign(request: HttpRequest) -> bool:
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        return not _is_trusted(origin.lower(), request)
    # Browsers that leave out the origin still say from where it comes; what is no browser says neither.
    return request.META.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none")


def _is_trusted(origin: str, request: HttpRequest) -> bool:
    """As Django does it for forms (CsrfViewMiddleware)."""
    try:
        own = f"{request.scheme}://{request.get_host()}".lower()
        asked = urlsplit(origin)
    except (DisallowedHost, ValueError):
        return False
    if origin == own or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    patterns = [urlsplit(trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS if "*" in trusted]
    return any(
        asked.scheme == pattern.scheme and is_same_domain(asked.netloc, pattern.netloc.lstrip("*"))
        for pattern in patterns
    )
