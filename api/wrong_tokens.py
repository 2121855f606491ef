"""Throttling of wrong tokens by address: each costs a query.

Recently right tokens are exempt. Others take a turn from the address's bucket, refunded if right.
"""

import hashlib
import threading
import time
from collections import OrderedDict

from rest_framework.exceptions import Throttled

from api.throttling import Unavailable, buckets, rate_of

CACHE_SECONDS = 3600.0
MOST_CACHED = 10_000
SCOPE = "wrong_tokens"


class _RightTokens:
    """Digests of recently right tokens, oldest first."""

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, token: str) -> bool:
        return self._until.get(_digest(token), 0.0) > time.monotonic()

    def add(self, token: str) -> None:
        digest = _digest(token)
        with self._lock:
            self._until[digest] = time.monotonic() + CACHE_SECONDS
            self._until.move_to_end(digest)
            if len(self._until) > MOST_CACHED:
                self._until.popitem(last=False)

    def discard(self, token: str) -> None:
        with self._lock:
            self._until.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


_right = _RightTokens()


def take_turn(address: str, token: str) -> None:
    """Take a turn for a lookup. Raises Throttled, but never without Valkey."""
    if token not in _right:
        _take(address, tokens=1)


def note_right(address: str, token: str) -> None:
    """Cache a token as right and refund the turn."""
    if token not in _right:
        _take(address, tokens=-1)
    _right.add(token)


def note_wrong(token: str) -> None:
    _right.discard(token)


def _take(address: str, *, tokens: int) -> None:
    rate = rate_of(SCOPE)
    if rate is None:
        return
    try:
        wait = buckets().take(f"throttle:{SCOPE}:ip:{address}", rate, tokens=tokens)
    except Unavailable:
        return
    if wait:
        raise Throttled(wait=wait)
