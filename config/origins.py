"""Refuses cross-site requests that would change something."""

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
    """Refuses unsafe requests from other sites' pages, by headers that every browser adds.

    CSRF tokens protect sessions only, and a demo has no logins: a simple POST needs no preflight. Requests with an
    Authorization header are deliberate, and pass.
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
            return errors.response_to(Problem("foreign_origin", message, status_code=403), request)
        return self._get_response(request)


def _is_foreign(request: HttpRequest) -> bool:
    origin = request.META.get("HTTP_ORIGIN")
    if origin is not None:
        return not _is_trusted(origin.lower(), request)
    # without Origin browsers send Sec-Fetch-Site; other clients send neither
    return request.META.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none")


def _is_trusted(origin: str, request: HttpRequest) -> bool:
    """Same rules as Django's CsrfViewMiddleware, which still guards sessions; and CORS_ALLOWED_ORIGINS."""
    try:
        own = f"{request.scheme}://{request.get_host()}".lower()
        asked = urlsplit(origin)
    except (DisallowedHost, ValueError):
        return False
    if origin in (own, *settings.CSRF_TRUSTED_ORIGINS, *settings.CORS_ALLOWED_ORIGINS):
        return True
    patterns = [urlsplit(trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS if "*" in trusted]
    return any(
        asked.scheme == pattern.scheme and is_same_domain(asked.netloc, pattern.netloc.lstrip("*"))
        for pattern in patterns
    )
