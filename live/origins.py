"""Which pages may open a socket: those of this site, and those of CSRF_TRUSTED_ORIGINS.

A browser sends the login cookie with any page's WebSocket and never asks us first, so the Origin header is
all that keeps another site's page from reading along. Browsers always send it. A client that sends none is a
script: it may come in, but its cookies count for nothing, so a stripped header gains nobody anything.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.http import is_same_domain

from live.asgi import ASGIApplication, Receive, Scope, Send, headers_of

ORIGIN_VERIFIED = "origin_verified"


class OriginGuard:
    """Turns away pages of other sites and names of other hosts; notes in the scope who had an origin."""

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        origin = headers.get("origin")
        if not _is_our_host(headers.get("host", "")) or (
            origin is not None and not _is_trusted(origin, _own_origin(scope, headers))
        ):
            # Closed before it was accepted: the server answers the handshake with 403.
            await send({"type": "websocket.close"})
            return
        await self._application({**scope, ORIGIN_VERIFIED: origin is not None}, receive, send)


def _is_our_host(host: str) -> bool:
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)


def _own_origin(scope: Scope, headers: Mapping[str, str]) -> str:
    name, value = settings.SECURE_PROXY_SSL_HEADER
    forwarded = headers.get(name.removeprefix("HTTP_").replace("_", "-").lower())
    secure = forwarded == value if forwarded else scope.get("scheme") in ("wss", "https")
    return f"{'https' if secure else 'http'}://{headers['host']}"


def _is_trusted(origin: str, own: str) -> bool:
    """As Django does it for forms (CsrfViewMiddleware)."""
    origin = origin.lower()
    if origin == own.lower() or origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        asked = urlsplit(origin)
    except ValueError:
        return False
    patterns = [urlsplit(trusted) for trusted in settings.CSRF_TRUSTED_ORIGINS if "*" in trusted]
    return any(
        asked.scheme == pattern.scheme and is_same_domain(asked.netloc, pattern.netloc.lstrip("*"))
        for pattern in patterns
    )
