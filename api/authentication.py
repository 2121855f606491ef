"""Authentication by token, session or demo. Imported by the settings, before models."""

import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth import get_user_model
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.lookup import Login, NotAccepted, Owner, digest_of, find_owner
from api import wrong_tokens

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DEMO_USERNAME = "demo"
CACHE_SECONDS = 2.0
MAX_CACHED = 10_000

SCHEMES = ("token", "bearer")


class TokenAuthentication(authentication.TokenAuthentication):
    """`Authorization: Token …` or `Bearer …`; a revoked token works for up to CACHE_SECONDS."""

    def authenticate(self, request: Request) -> tuple["User", Login] | None:
        """Return user and login, if any. Raises AuthenticationFailed or Throttled."""
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, token = header.strip().partition(" ")
        if scheme.lower() not in SCHEMES or not token.strip():
            raise AuthenticationFailed(
                "The Authorization header must be `Bearer <token>` or `Token <token>`."
            )
        try:
            owner = _owners.get(digest_of(token.strip()), address=str(BaseThrottle().get_ident(request)))
        except NotAccepted as error:
            raise AuthenticationFailed(str(error), code=error.code) from None
        user = owner.user()
        if not user.is_active:
            raise AuthenticationFailed("This account is not active.")
        return user, owner.login


class _Owners:
    def __init__(self) -> None:
        self._owners: dict[str, tuple[float, Owner]] = {}

    def get(self, digest: str, *, address: str) -> Owner:
        """Return a token's owner. Raises NotAccepted or Throttled."""
        until, owner = self._owners.get(digest, (0.0, None))
        if owner is None or time.monotonic() >= until:
            wrong_tokens.take_turn(address, digest)
            try:
                owner = find_owner(digest)
            except NotAccepted:
                wrong_tokens.note_wrong(digest)
                raise
            wrong_tokens.note_right(address, digest)
            self._cache(digest, owner)
        return owner

    def _cache(self, digest: str, owner: Owner) -> None:
        if len(self._owners) >= MAX_CACHED:
            self._owners.clear()
        self._owners[digest] = (time.monotonic() + CACHE_SECONDS, owner)

    def forget(self, digest: str) -> None:
        self._owners.pop(digest, None)


_owners = _Owners()
forget_token = _owners.forget


class SessionAuthentication(authentication.SessionAuthentication):
    """Django's session, with the code `csrf_failed`."""

    def enforce_csrf(self, request: Request) -> None:
        """Raise PermissionDenied on a failed CSRF check."""
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise PermissionDenied(str(error.detail), code="csrf_failed") from None


class DemoAuthentication(authentication.BaseAuthentication):
    """The demo customer for clients without credentials."""

    def authenticate(self, request: Request) -> tuple["User", None] | None:  # noqa: ARG002
        return (_demo_customer.get(), None) if settings.DEMO else None


class _DemoCustomer:
    """Cache of the demo customer's account."""

    def __init__(self) -> None:
        self._user: User | None = None
        self._looked_up = 0.0

    def get(self) -> "User":
        user = self._user
        if user is None or time.monotonic() - self._looked_up > CACHE_SECONDS:
            user = get_user_model().objects.filter(username=DEMO_USERNAME, is_active=True).first()
            self._user, self._looked_up = user, time.monotonic()
        if user is None:
            raise AuthenticationFailed("There is no demo customer; `manage.py demo` creates one.")
        return user

    def forget(self) -> None:
        self._user = None


_demo_customer = _DemoCustomer()
forget_demo_customer = _demo_customer.forget
