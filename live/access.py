"""Authentication of sockets, at connect and afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.models import User
from django.http import HttpRequest

from accounts.lookup import NotAccepted, digest_of, find_owner
from api.authentication import DEMO_USERNAME, SCHEMES
from orders.permissions import sees_all_orders

SESSION, TOKEN, ACCOUNT, DEMO = "session", "token", "account", "demo"


@dataclass(frozen=True, slots=True)
class Credential:
    """A session key, an API token's digest, or a ticket's account."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """An account and its credential."""

    user: User
    credential: Credential
    sees_all_orders: bool


def viewer_of(credential: Credential) -> Viewer | None:
    """Return the account authenticated now, if any."""
    user = _FINDERS[credential.kind](credential.value)
    return Viewer(user, credential, sees_all_orders(user)) if user and user.is_active else None


def shown_by(headers: Mapping[str, str], *, trust_cookies: bool) -> Credential | None:
    """Return the headers' credential, tokens first; demo mode needs none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() in SCHEMES:
        return Credential(TOKEN, digest_of(token.strip()))
    session_key = _cookie(headers.get("cookie", "")) if trust_cookies else ""
    if session_key and viewer_of(session := Credential(SESSION, session_key)):
        return session
    return Credential(DEMO, DEMO_USERNAME) if settings.DEMO else None


def of_request(request: Any) -> Credential:
    """Return the credential of an API request, for a ticket."""
    if request.auth is not None:
        return Credential(TOKEN, request.auth.digest)
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        return Credential(SESSION, session.session_key)
    return Credential(ACCOUNT, str(request.user.pk))


def _cookie(header: str) -> str:
    try:
        cookie = SimpleCookie(header).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _by_session(session_key: str) -> User | None:
    # An expired session or a changed password ends it.
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, get_user_model()) else None


def _by_token(digest: str) -> User | None:
    try:
        return find_owner(digest).user()
    except NotAccepted:
        return None


def _by_id(pk: str) -> User | None:
    return User.objects.filter(pk=int(pk)).first()


def _by_name(username: str) -> User | None:
    return User.objects.filter(username=username).first()


_FINDERS = {SESSION: _by_session, TOKEN: _by_token, ACCOUNT: _by_id, DEMO: _by_name}
