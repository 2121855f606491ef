"""Middleware that decides whether reads may lag.

A browser's may unless it just wrote; other clients' if they send `Cache-Control: max-stale`.
"""

import re
from collections.abc import Callable

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from rest_framework.permissions import SAFE_METHODS

from database import replica

WROTE = "wrote"
MAX_STALE = re.compile(r"\bmax-stale(?:=(\d{1,6}))?\b")


class ReadsReplica:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if replica.ALIAS not in connections.settings:
            return self._get_response(request)
        with replica.lagging(allowed_lag(request)):
            response = self._get_response(request)
        if request.method not in SAFE_METHODS:
            response.set_cookie(
                WROTE,
                "1",
                max_age=int(settings.REPLICA_LAG_SECONDS) + 1,
                httponly=True,
                samesite="Lax",
                secure=request.is_secure(),
            )
        return response


def allowed_lag(request: HttpRequest) -> float:
    """Return by how many seconds what a request reads may lag; 0: not at all."""
    most = float(settings.REPLICA_LAG_SECONDS)
    if request.method not in SAFE_METHODS or WROTE in request.COOKIES:
        return 0
    if found := MAX_STALE.search(request.META.get("HTTP_CACHE_CONTROL", "")):
        return min(most, float(found[1] or most))
    return most if settings.SESSION_COOKIE_NAME in request.COOKIES else 0
