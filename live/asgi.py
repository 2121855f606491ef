"""ASGI types."""

from collections.abc import Awaitable, Callable
from typing import Any

# Stubs of Channels, Django and asgiref conflict.
Scope = Any
Receive = Any
Send = Any
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[Any]]


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by lower-case name; conflicting duplicates become empty."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = value if headers.get(name, value) == value else ""
    return headers
