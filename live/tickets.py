"""Short-lived, single-use tickets, to open a socket without a header or cookie.

URLs end up in logs: hence once, and half a minute. Any server may redeem it, so PostgreSQL keeps its digest.
"""

import hashlib
import secrets

from django.db import Error

from accounts.lookup import PREFIX
from database.prepared import execute
from live.access import Credential, of_link
from orders.http.links import is_signed

SECONDS = 30

# Deletes expired tickets, which saves a schedule.
ISSUE = """
    WITH expired AS (DELETE FROM live_ticket WHERE expires_at < now())
    INSERT INTO live_ticket (digest, kind, value, expires_at)
    VALUES (%s::bytea, %s, %s, now() + %s::float8 * interval '1 second')
"""
REDEEM = "DELETE FROM live_ticket WHERE digest = %s::bytea RETURNING kind, value, expires_at > now()"


class NoTickets(Exception):
    """The ticket store is unavailable."""


def issue(credential: Credential) -> str:
    """Issue a ticket. Raises NoTickets."""
    ticket = secrets.token_urlsafe(32)
    try:
        execute(ISSUE, [_digest(ticket), credential.kind, credential.value, SECONDS])
    except Error as error:
        raise NoTickets from error
    return ticket


def redeem(ticket: str) -> Credential | None:
    """Redeem a ticket, once; None if used, expired or forged. Raises NoTickets."""
    try:
        found = execute(REDEEM, [_digest(ticket)])
    except Error as error:
        raise NoTickets from error
    for kind, value, is_valid in found:
        return Credential(kind, value) if is_valid else None
    return None


def credential_of(value: str) -> Credential | None:
    """Return what a ticket of any kind stands for; None if it is none, or not valid. Raises NoTickets."""
    if is_signed(value):
        return of_link(value)
    return None if value.startswith(PREFIX) else redeem(value)


def _digest(ticket: str) -> str:
    return "\\x" + hashlib.sha256(ticket.encode()).hexdigest()
