"""Who is asking: a token, a session, or in demo mode the demo customer.

The settings name these classes, so this module is imported before there are any models.
"""

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, connection
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DEMO_USERNAME = "demo"
REMEMBER_SECONDS = 5.0


# Every request of a program asks this; spelled out by the ORM it costs more than the rest of the request's reading.
OWNER_OF = """
    SELECT u.id, u.password, u.last_login, u.is_superuser, u.username, u.first_name, u.last_name, u.email,
           u.is_staff, u.is_active, u.date_joined
    FROM authtoken_token t JOIN auth_user u ON u.id = t.user_id WHERE t.key = %s
"""
USER_COLUMNS = [
    "id",
    "password",
    "last_login",
    "is_superuser",
    "username",
    "first_name",
    "last_name",
    "email",
    "is_staff",
    "is_active",
    "date_joined",
]


class TokenAuthentication(authentication.TokenAuthentication):
    """`Authorization: Token …`, as Django REST framework has it."""

    def authenticate_credentials(self, key: str) -> tuple["User", str]:
        """Return whose token it is, and the token; AuthenticationFailed if it is nobody's."""
        with connection.cursor() as cursor:
            cursor.execute(OWNER_OF, [key])
            row = cursor.fetchone()
        if row is None:
            raise AuthenticationFailed("There is no such token.")
        user: User = get_user_model().from_db(DEFAULT_DB_ALIAS, USER_COLUMNS, row)
        if not user.is_active:
            raise AuthenticationFailed("This account is not active.")
        return user, key


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
