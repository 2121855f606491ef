"""What customers looked up of the catalogue, kept for those who look up the same.

Only what seldom changes is kept: names, prices, weights. Whoever changes a product says so with
`forget_listings`, which starts a new generation: an answer that was being computed meanwhile from the old
products is kept under the old one, which is never read again. Units are never kept; they change with
every order. Without Valkey every question goes to the database.

Answers stay in the process, and few of them: questions are the clients' to make up, and must fill neither the
memory of Valkey, which the broker needs, nor ours. Only the generation is shared.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar
from uuid import uuid4

from django.conf import settings
from django.core.cache import cache
from django.db import transaction
from redis.exceptions import RedisError

T = TypeVar("T")

logger = logging.getLogger(__name__)

GENERATION = "inventory:generation"
LONGEST_GENERATION = 64
# So long an absent Valkey is left alone, so that not every question waits for it first.
AWAY_SECONDS = 5.0
MOST_ANSWERS = 256
MOST_ITEMS = 5_000  # in all answers together


class _Valkey:
    """When this process may next expect an answer."""

    back_at = 0.0


class Answers:
    """The answers of one generation that were used last. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = ""
        self._kept: OrderedDict[Hashable, tuple[float, list[object]]] = OrderedDict()
        self._items = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, generation: str, question: Hashable) -> list[object] | None:
        """Return the answer, if it is of this generation and not too old."""
        with self._lock:
            until, answer = self._kept.get(question, (0.0, None))
            if generation != self._generation or until <= time.monotonic():
                return None
            self._kept.move_to_end(question)
            return answer

    def keep(self, generation: str, question: Hashable, answer: list[object]) -> None:
        """Keep an answer, and let go of those that were not used for longest."""
        until = time.monotonic() + settings.CACHE_EXPIRATION_MINUTES * 60
        with self._lock:
            if generation != self._generation:
                self._generation, self._items = generation, 0
                self._kept.clear()
            self._drop(question)
            self._kept[question] = (until, answer)
            self._items += len(answer)
            while len(self._kept) > MOST_ANSWERS or self._items > MOST_ITEMS:
                self._drop(next(iter(self._kept)))

    def _drop(self, question: Hashable) -> None:
        _, answer = self._kept.pop(question, (0.0, []))
        self._items -= len(answer)


ANSWERS = Answers()


def remembered(question: Hashable, compute: Callable[[], list[T]]) -> list[T]:
    """Return the answer to a question; `compute` it if it is not kept. Others get the same objects: change none."""
    generation = _ask(_current_generation)
    if generation is None:
        return compute()
    kept = ANSWERS.get(generation, question)
    if kept is not None:
        return kept  # type: ignore[return-value] # the same question computes the same type
    answer = compute()
    ANSWERS.keep(generation, question, list[object](answer))
    return answer


def forget_listings() -> None:
    """Have every question computed anew, as soon as the current transaction is committed."""
    transaction.on_commit(lambda: _ask(_start_generation))


def expect_valkey() -> None:
    """Ask Valkey again at once, although it was away a moment ago."""
    _Valkey.back_at = 0.0


def _current_generation() -> str:
    stored = cache.get(GENERATION)
    is_one = isinstance(stored, str) and 0 < len(stored) <= LONGEST_GENERATION
    return str(stored) if is_one else _start_generation()


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
