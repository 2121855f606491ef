"""Authentication of sockets, at connect and afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.models import User
from django.http import HttpRequest

from accounts.lookup import NotAccepted, digest_of, find_owner
from api.authentication import DEMO_USERNAME, SCHEMES
from orders.http import links
from orders.models import Order
from orders.permissions import sees_all_orders

SESSION, TOKEN, ACCOUNT, DEMO, ORDER = "session", "token", "account", "demo", "order"


@dataclass(frozen=True, slots=True)
class Credential:
    """A session key, an API token's digest, a ticket's account, or one order and the version of its links."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """An account and its credential. With `order_id` only that order is visible, as its owner sees it."""

    user: User
    credential: Credential
    sees_all_orders: bool
    order_id: int | None = None

    @property
    def holder(self) -> str:
        """Return who holds the socket, for limits: one order's customers do not use up the shop's account."""
        return f"user {self.user.pk}" if self.order_id is None else f"order {self.order_id}"


def viewer_of(credential: Credential) -> Viewer | None:
    if credential.kind == ORDER:
        return _by_order(credential)
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


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """Return what the Authorization header carries, if it is a token or ticket."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() in SCHEMES else None


def of_link(value: str) -> Credential | None:
    """Return the credential of an order's ticket or track link; None if it is not valid now."""
    try:
        link = links.read(value, now=datetime.now(UTC))
    except links.InvalidLink:
        return None
    return Credential(ORDER, f"{link.order_id}:{link.version}")


def of_request(request: Any) -> Credential:
    if request.auth is not None:
        return Credential(TOKEN, request.auth.digest)
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        return Credential(SESSION, session.session_key)
    return Credential(ACCOUNT, str(request.user.pk))


def _by_order(credential: Credential) -> Viewer | None:
    order_id, _, version = credential.value.partition(":")
    order = Order.objects.select_related("owner").filter(pk=int(order_id), link_version=int(version)).first()
    if order is None or not order.owner.is_active:
        return None
    return Viewer(order.owner, credential, sees_all_orders=False, order_id=order.pk)


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
