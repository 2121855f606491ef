"""What customers looked up of the catalogue, kept for those who look up the same.

Only what seldom changes is kept: names, prices, weights. Whoever changes a product says so with
`forget_listings`, which starts a new generation: an answer that was being computed meanwhile from the old
products is stored under the old one, where nobody looks any more. Units are never kept; they change with
every order. Without Valkey every question goes to the database.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import uuid4

from django.core.cache import cache
from django.db import transaction
from redis.exceptions import RedisError

T = TypeVar("T")

logger = logging.getLogger(__name__)

GENERATION = "inventory:generation"
# So long an absent Valkey is left alone, so that not every question waits for it first.
AWAY_SECONDS = 5.0


class _Valkey:
    """When this process may next expect an answer."""

    back_at = 0.0


def remembered(question: object, compute: Callable[[], T]) -> T:
    """Return the answer to a question (anything with a telling repr); `compute` it if nobody asked before."""
    key = _ask(lambda: _key(question))
    if key is None:
        return compute()
    answer: T | None = _ask(lambda: cache.get(key))
    if answer is None:
        computed = answer = compute()
        _ask(lambda: cache.set(key, computed))
    return answer


def forget_listings() -> None:
    """Have every question computed anew, as soon as the current transaction is committed."""
    transaction.on_commit(lambda: _ask(_start_generation))


def expect_valkey() -> None:
    """Ask Valkey again at once, although it was away a moment ago."""
    _Valkey.back_at = 0.0


def _key(question: object) -> str:
    generation = cache.get(GENERATION) or _start_generation()
    return f"inventory:{generation}:{hashlib.sha256(repr(question).encode()).hexdigest()}"


def _start_generation() -> str:
    generation = uuid4().hex
    cache.set(GENERATION, generation, timeout=None)
    return generation


def _ask(question: Callable[[], T]) -> T | None:
    if time.monotonic() < _Valkey.back_at:
        return None
    try:
        return question()
    except (RedisError, OSError) as error:
        _Valkey.back_at = time.monotonic() + AWAY_SECONDS
        logger.warning("The cache of listings is out of reach: %s", error)
        return None
