"""Which pages may open a socket.

A client without Origin is a script: its cookies are ignored, so stripping the header gains nothing.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

from live.asgi import ASGIApplication, Receive, Scope, Send, headers_of

ORIGIN_VERIFIED = "origin_verified"


class OriginGuard:
    """Rejects other origins and hosts; marks verified origins."""

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        origin = headers.get("origin")
        if not _is_our_host(headers.get("host", "")):
            await _refuse(send)
            return
        verified = origin is not None and _is_trusted(origin, _own_origin(scope, headers))
        if origin is not None and not verified and origin.lower() not in settings.CORS_ALLOWED_ORIGINS:
            await _refuse(send)
            return
        await self._application({**scope, ORIGIN_VERIFIED: verified}, receive, send)


async def _refuse(send: Send) -> None:
    # Makes the server answer 403.
    await send({"type": "websocket.close"})


def _is_our_host(host: str) -> bool:
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


def _own_origin(scope: Scope, headers: Mapping[str, str]) -> str:
    name, value = settings.SECURE_PROXY_SSL_HEADER
    forwarded = headers.get(name.removeprefix("HTTP_").replace("_", "-").lower())
    secure = forwarded == value if forwarded else scope.get("scheme") in ("wss", "https")
    return f"{'https' if secure else 'http'}://{headers['host']}"


def _is_trusted(origin: str, own: str) -> bool:
    """Mirrors Django's CsrfViewMiddleware."""
    origin = origin.lower()
    if origin == own.lower() or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    patterns = [urlsplit(trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS if "*" in trusted]
    return any(
        parts.scheme == pattern.scheme and is_same_domain(parts.netloc, pattern.netloc.lstrip("*"))
        for pattern in patterns
    )
