"""Middleware: a request that meets a failover of the database waits for the new leader and runs again."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from rest_framework.permissions import SAFE_METHODS

from config.bodies import BULK
from database import failover


class AwaitsLeader:
    """Innermost: a repeat passes no other middleware twice.

    Only a read, or a request with an Idempotency-Key, is repeated.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        if not settings.FAILOVER_WAIT_SECONDS or not hasattr(view, "cls"):
            return None
        may_run_again = _may_run_again(request)
        user = request.user
        with failover.patience(settings.FAILOVER_WAIT_SECONDS):
            while True:
                response: HttpResponse = view(request, *args, **kwargs)
                is_outage = getattr(response, "is_outage", False)
                if not (is_outage and may_run_again and failover.pause()):
                    return response
                close_old_connections()
                # A second run would look for a CSRF token.
                request.user = user


def _may_run_again(request: HttpRequest) -> bool:
    if request.method in SAFE_METHODS:
        return True
    if "HTTP_IDEMPOTENCY_KEY" not in request.META or request.path_info == BULK:
        return False
    return request.body is not None  # reads it, for a second run too
