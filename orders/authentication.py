"""Who is asking: a token, a session, or in demo mode the demo customer.

The settings name these classes, so this module is imported before there are any models.
"""

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DEMO_USERNAME = "demo"
REMEMBER_SECONDS = 5.0


class SessionAuthentication(authentication.SessionAuthentication):
    """Django's session, with CSRF checks that answer with a code of their own."""

    def enforce_csrf(self, request: Request) -> None:
        """Raise PermissionDenied unless the request carries the CSRF token of its session."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise PermissionDenied(str(error.detail), code="csrf_failed") from None


class DemoAuthentication(authentication.BaseAuthentication):
    """Takes whoever brings no credentials for the demo customer. Does nothing unless DEMO is on."""

    def authenticate(self, request: Request) -> tuple["User", None] | None:  # noqa: ARG002
        """Return the demo customer."""
        return (_demo_customer.get(), None) if settings.DEMO else None


class _DemoCustomer:
    """The demo customer's account, looked up every few seconds and not for every request."""

    def __init__(self) -> None:
        self._user: User | None = None
        self._looked_up = 0.0

    def get(self) -> "User":
        user = self._user
        if user is None or time.monotonic() - self._looked_up > REMEMBER_SECONDS:
            user = get_user_model().objects.filter(username=DEMO_USERNAME, is_active=True).first()
            self._user, self._looked_up = user, time.monotonic()
        if user is None:
            raise AuthenticationFailed("There is no demo customer; `manage.py demo` makes one.")
        return user

    def forget(self) -> None:
        """Look it up anew next time."""
        self._user = None


_demo_customer = _DemoCustomer()
forget_demo_customer = _demo_customer.forget
