"""Signed values that stand for one order without an account.

Nothing is stored: raising the order's version revokes them, and each mail, answer and retry has the same
link.
"""

import base64
import hmac
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from django.conf import settings

from orders.models import Order

PREFIX = "opo_"
TRACK, LIVE = 1, 2

# Scope, order, version of its links, expiry, end of renewal; moments in seconds since 1970.
LAYOUT = struct.Struct(">BQHII")
SIGNATURE_BYTES = 20
LENGTH = len(PREFIX) + 52
LIVE_SECONDS = 900
DAY = timedelta(days=1)
LATEST = 2**32 - 1


class InvalidLink(Exception):
    """The value is malformed, forged or revoked."""


class ExpiredLink(InvalidLink):
    """The value was genuine and has expired."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a signed value grants. Moments are seconds since 1970."""

    scope: int
    order_id: int
    version: int
    expires_at: int
    renewable_until: int

    def sign(self) -> str:
        content = LAYOUT.pack(self.scope, self.order_id, self.version, self.expires_at, self.renewable_until)
        signed = content + _signature(settings.SECRET_KEY, content)
        return PREFIX + base64.urlsafe_b64encode(signed).decode()


def track_token(
    order_id: int, placed_at: datetime, version: int = 0, *, at_least: datetime | None = None
) -> str:
    """Return the value of an order's track link, valid for TRACK_LINK_DAYS after the order was placed."""
    ends = placed_at + timedelta(days=settings.TRACK_LINK_DAYS)
    expires_at = _seconds(max(ends, at_least or ends))
    return Link(TRACK, order_id, version, expires_at, expires_at).sign()


def track_link(order_id: int, placed_at: datetime, version: int = 0) -> str:
    """Return the track page's address, relative without PUBLIC_URL."""
    return f"{settings.PUBLIC_URL}/track/{track_token(order_id, placed_at, version)}"


def live_ticket(order: Order, *, now: datetime) -> Link:
    until = _seconds(now + timedelta(hours=settings.ORDER_TICKET_HOURS))
    return _ticket(order.pk, order.link_version, until, now=now)


def renew(link: Link, *, now: datetime) -> Link:
    """Renew a ticket, also an expired one. Raises ExpiredLink."""
    if _seconds(now) >= link.renewable_until:
        raise ExpiredLink
    return _ticket(link.order_id, link.version, link.renewable_until, now=now)


def _ticket(order_id: int, version: int, until: int, *, now: datetime) -> Link:
    return Link(LIVE, order_id, version, min(_seconds(now) + LIVE_SECONDS, until), until)


def read(value: str, *, now: datetime, renewing: bool = False) -> Link:
    """Return what a value grants. Raises InvalidLink or ExpiredLink; `order_of` alone knows what was revoked."""
    link = _genuine(value)
    if not renewing and _seconds(now) >= link.expires_at:
        raise ExpiredLink
    return link


def order_of(link: Link) -> Order:
    """Return the order. Raises InvalidLink if it is gone or the link was revoked."""
    order = Order.objects.select_related("journey").filter(pk=link.order_id).first()
    if order is None or order.link_version != link.version:
        raise InvalidLink
    return order


def revoke(order: Order) -> None:
    Order.objects.revoke_links(order.pk)


def is_signed(value: str) -> bool:
    return len(value) == LENGTH and value.startswith(PREFIX)


def _genuine(value: str) -> Link:
    if not is_signed(value) or not value.isascii():
        raise InvalidLink
    try:
        signed = base64.b64decode(value[len(PREFIX) :], altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidLink from None
    content, given = signed[: LAYOUT.size], signed[LAYOUT.size :]
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    if not any(hmac.compare_digest(_signature(key, content), given) for key in keys):
        raise InvalidLink
    link = Link(*LAYOUT.unpack(content))
    if link.scope not in (TRACK, LIVE) or link.order_id >= 2**63:
        raise InvalidLink
    return link


def _signature(key: str, content: bytes) -> bytes:
    return hmac.digest(b"orders.links:" + key.encode(), content, sha256)[:SIGNATURE_BYTES]


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime) -> int:
    return min(LATEST, int(moment.astimezone(UTC).timestamp()))
