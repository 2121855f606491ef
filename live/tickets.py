"""Short-lived, single-use tickets: how a client that cannot send a header or a cookie opens a socket.

A ticket stands in a URL, and URLs end up in logs; that is why it works once, and only for half a minute.
"""

import functools
import json
import os
import secrets

import msgspec
import redis
from django.conf import settings

from live.access import Credential

SECONDS = 30


class NoTickets(Exception):
    """The store of tickets does not answer."""


def issue(credential: Credential) -> str:
    """Return a ticket that stands for the credential. Raises NoTickets."""
    ticket = secrets.token_urlsafe(32)
    try:
        _store(os.getpid()).set(_key(ticket), json.dumps([credential.kind, credential.value]), ex=SECONDS)
    except redis.RedisError as error:
        raise NoTickets from error
    return ticket


def redeem(ticket: str) -> Credential | None:
    """Return what the ticket stands for, once; None if it is used, too old or made up. Raises NoTickets."""
    try:
        stored = _store(os.getpid()).getdel(_key(ticket))
    except redis.RedisError as error:
        raise NoTickets from error
    return _credential(stored) if stored else None


def _credential(stored: bytes | str) -> Credential | None:
    """What a ticket stands for; None for what is none: anybody who can write to Valkey may have stored it."""
    try:
        return Credential(*msgspec.json.decode(stored, type=tuple[str, str]))
    except (msgspec.DecodeError, UnicodeError):
        return None


def _key(ticket: str) -> str:
    return f"ticket:{ticket[:100]}"


@functools.lru_cache(maxsize=1)
def _store(pid: int) -> redis.Redis:  # noqa: ARG001 - connections are not carried across a fork
    return redis.Redis.from_url(
        settings.CACHE_URL,
        socket_timeout=1,
        socket_connect_timeout=1,
        decode_responses=True,
        encoding_errors="replace",
    )
