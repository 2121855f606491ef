"""Who is asking: a token, a session, or in demo mode the demo customer.

The settings name these classes, so this module is imported before there are any models.
"""

import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, connection
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DEMO_USERNAME = "demo"
CACHE_SECONDS = 2.0
MAX_CACHED = 10_000

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
    """`Authorization: Token …`, as Django REST framework has it.

    Who a token belongs to is remembered for `CACHE_SECONDS`: so long a token that was withdrawn, or an account
    that was closed, is still let in by a process that has just seen it.
    """

    def authenticate_credentials(self, key: str) -> tuple["User", str]:
        """Return whose token it is, and the token; AuthenticationFailed if it is nobody's."""
        row = _owners.get(key)
        if row is None:
            raise AuthenticationFailed("There is no such token.")
        user: User = get_user_model().from_db(DEFAULT_DB_ALIAS, USER_COLUMNS, row)
        if not user.is_active:
            raise AuthenticationFailed("This account is not active.")
        return user, key


class _Owners:
    """The accounts that tokens belong to, each looked up every few seconds and not for every request."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[float, tuple[Any, ...]]] = {}

    def get(self, key: str) -> tuple[Any, ...] | None:
        """Return the account's columns; None if nobody has this token."""
        until, row = self._rows.get(key, (0.0, None))
        if time.monotonic() < until:
            return row
        with connection.cursor() as cursor:
            cursor.execute(OWNER_OF, [key])
            found: tuple[Any, ...] | None = cursor.fetchone()
        if found:
            self._remember(key, found)
        return found

    def _remember(self, key: str, row: tuple[Any, ...]) -> None:
        if len(self._rows) >= MAX_CACHED:
            self._rows.clear()
        self._rows[key] = (time.monotonic() + CACHE_SECONDS, row)


_owners = _Owners()


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
        if user is None or time.monotonic() - self._looked_up > CACHE_SECONDS:
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
