"""Short-lived, single-use tickets: how a client that cannot send a header or a cookie opens a socket.

A ticket stands in a URL, and URLs end up in logs; that is why it works once, and only for half a minute. One server
issues it and any other may redeem it, so it is kept where all of them look: in PostgreSQL, as a digest.
"""

import hashlib
import secrets

from django.db import Error

from database.prepared import execute
from live.access import Credential

SECONDS = 30

# Clears away what nobody redeemed, so that no schedule has to.
ISSUE = """
    WITH expired AS (DELETE FROM live_ticket WHERE expires_at < now())
    INSERT INTO live_ticket (digest, kind, value, expires_at)
    VALUES (%s::bytea, %s, %s, now() + %s::float8 * interval '1 second')
"""
REDEEM = "DELETE FROM live_ticket WHERE digest = %s::bytea RETURNING kind, value, expires_at > now()"


class NoTickets(Exception):
    """The store of tickets does not answer."""


def issue(credential: Credential) -> str:
    """Return a ticket that stands for the credential. Raises NoTickets."""
    ticket = secrets.token_urlsafe(32)
    try:
        execute(ISSUE, [_digest(ticket), credential.kind, credential.value, SECONDS])
    except Error as error:
        raise NoTickets from error
    return ticket


def redeem(ticket: str) -> Credential | None:
    """Return what the ticket stands for, once; None if it is used, too old or made up. Raises NoTickets."""
    try:
        found = execute(REDEEM, [_digest(ticket)])
    except Error as error:
        raise NoTickets from error
    for kind, value, is_valid in found:
        return Credential(kind, value) if is_valid else None
    return None


def _digest(ticket: str) -> str:
    """Return the digest in the words of PostgreSQL."""
    return "\\x" + hashlib.sha256(ticket.encode()).hexdigest()
