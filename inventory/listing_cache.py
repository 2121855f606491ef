"""Cache of product lists, without stock, which changes with every order.

Changes of a product call `forget_listings`, which starts a new generation: lists computed meanwhile from old
rows are stored under the old one and never read.

Lists stay in a bounded cache per process: clients choose the queries and could fill Valkey, which the broker
needs.
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

from runtime.optional_valkey import OptionalValkey

T = TypeVar("T")

logger = logging.getLogger(__name__)

GENERATION = "inventory:generation"
LONGEST_GENERATION = 64
# Cool-down, so that queries do not each wait for Valkey.
AWAY_SECONDS = 5.0
MOST_ANSWERS = 256
MOST_ITEMS = 5_000  # over all answers


_valkey = OptionalValkey("lists are computed", cool_down=AWAY_SECONDS)


class Answers:
    """An LRU cache of one generation. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._generation = ""
        self._kept: OrderedDict[Hashable, tuple[float, list[object]]] = OrderedDict()
        self._items = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, generation: str, question: Hashable) -> list[object] | None:
        """Return the answer of this generation, unless expired."""
        with self._lock:
            until, answer = self._kept.get(question, (0.0, None))
            if generation != self._generation or until <= time.monotonic():
                return None
            self._kept.move_to_end(question)
            return answer

    def keep(self, generation: str, question: Hashable, answer: list[object]) -> None:
        """Store an answer, and evict the least recently used."""
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
    """Return the cached or computed answer. Shared: do not mutate."""
    generation = _valkey.call_or(_current_generation, None)
    if generation is None:
        return compute()
    kept = ANSWERS.get(generation, question)
    if kept is not None:
        return kept  # type: ignore[return-value] # one question, one type
    answer = compute()
    ANSWERS.keep(generation, question, list[object](answer))
    return answer


def forget_listings() -> None:
    """Invalidate all lists once the current transaction commits."""
    transaction.on_commit(lambda: _valkey.call_or(_start_generation, ""))


def expect_valkey() -> None:
    _valkey.retry_now()


def _current_generation() -> str:
    stored = cache.get(GENERATION)
    is_one = isinstance(stored, str) and 0 < len(stored) <= LONGEST_GENERATION
    return str(stored) if is_one else _start_generation()


def _start_generation() -> str:
    generation = uuid4().hex
    cache.set(GENERATION, generation, timeout=None)
    return generation
