"""How often an address may try tokens that nobody has: each try costs a look into the database.

A token that was right within the last hour is never held up, whatever else comes from its address. One that this
process has not seen yet takes a turn from its address's bucket, and puts it back when it turns out to be right.
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
    """Digests of the tokens that were right lately, the oldest first."""

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
    """Let a token be looked up. Raises Throttled when its address has tried too many that were wrong.

    While Valkey is away nobody is held up.
    """
    if token not in _right:
        _take(address, tokens=1)


def note_right(address: str, token: str) -> None:
    """Note that a token is somebody's: its address gets the turn back."""
    if token not in _right:
        _take(address, tokens=-1)
    _right.add(token)


def note_wrong(token: str) -> None:
    """Note that a token is nobody's, or no more."""
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
