"""Hardens Flower: login before metrics, security headers, a limit on wrong passwords."""

import math
import time
from collections.abc import Callable
from typing import Any

import tornado.web
from flower.views import BaseHandler
from flower.views.monitor import Metrics

# same rate as our own logins
WRONG_PASSWORDS, SECONDS_EACH = 10, 6.0
MOST_ADDRESSES = 10_000
HEADERS = {
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    # Its pages have inline scripts and styles.
    "Content-Security-Policy": (
        "default-src 'self' 'unsafe-inline' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
}


class WrongPasswords:
    """Rate limit of wrong passwords per address; bounded, so forgets all once full."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: dict[str, float] = {}  # when the full burst is available again

    def wait(self, address: str) -> int:
        """Return the seconds until the next attempt, or 0."""
        spent = self._full_at.get(address, 0.0) - self._clock()
        return max(0, math.ceil(spent - (WRONG_PASSWORDS - 1) * SECONDS_EACH))

    def add(self, address: str) -> None:
        if len(self._full_at) >= MOST_ADDRESSES:
            self._full_at.clear()
        self._full_at[address] = max(self._full_at.get(address, 0.0), self._clock()) + SECONDS_EACH


class Guard:
    def __init__(self) -> None:
        self._wrong = WrongPasswords()

    def install(self) -> None:
        """Patch Flower's handlers; call once, before it serves."""
        log_in, set_headers = BaseHandler.get_current_user, BaseHandler.set_default_headers
        wrong = self._wrong

        def get_current_user(handler: Any) -> Any:
            address = handler.request.remote_ip
            if wrong.wait(address):
                raise tornado.web.HTTPError(429, "Too many wrong passwords; try again later.")
            try:
                return log_in(handler)
            except tornado.web.HTTPError as error:
                # a browser's first request has no password
                if error.status_code == 401 and handler.request.headers.get("Authorization"):
                    wrong.add(address)
                raise

        def set_default_headers(handler: Any) -> None:
            set_headers(handler)
            for name, value in HEADERS.items():
                handler.set_header(name, value)

        BaseHandler.get_current_user = get_current_user
        BaseHandler.set_default_headers = set_default_headers
        Metrics.get = tornado.web.authenticated(Metrics.get)
