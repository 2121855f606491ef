"""Brings what many threads hand in to one thread, in groups, on one connection to the database."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)

# What comes in while a group is dealt with, and for so long after it began, is the next group.
GATHERING_SECONDS = 0.01
MOST_TOGETHER = 500
DATABASE_PAUSE_SECONDS = 0.5
AWAY = DATABASE_PAUSE_SECONDS
# A connection that was not used for so long is looked at before it is used, and after so long given up.
LOOK_AFTER_SECONDS = 1.0
LET_GO_AFTER_SECONDS = 20.0


class Collector(Generic[T]):
    """A thread that takes items in groups. A group that meets a database that is away is tried until it is back."""

    def __init__(
        self,
        take: Callable[[Sequence[T]], None],
        *,
        name: str,
        routine: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`take` is passed each group. `routine` is called on the same thread, again after as many seconds as it

        returns; after None only once something was handed in, or the collector was woken.
        """
        self._take, self._routine = take, routine
        self._items: deque[T] = deque()
        self._news = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._lock = threading.Lock()
        self._used_at = -LET_GO_AFTER_SECONDS
        self._has_connection = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def wake(self) -> None:
        """Have the routine called soon."""
        self._news.set()

    def add(self, item: T) -> None:
        """Hand in an item; returns at once."""
        with self._lock:
            self._items.append(item)
            self._idle.clear()
        self._news.set()

    def wait_until_idle(self, *, seconds: float) -> bool:
        """Return whether everything that was handed in has been dealt with, after so many seconds at most."""
        return self._idle.wait(seconds)

    def _run(self) -> None:
        rest: float | None = None
        while True:
            self._news.wait(rest)
            self._news.clear()
            began = time.monotonic()
            if self._items:
                self._take_all()
                time.sleep(max(0.0, began + GATHERING_SECONDS - time.monotonic()))
            rest = self._try(self._routine) or None
            self._let_go()
            if rest is None and self._has_connection:
                rest = LET_GO_AFTER_SECONDS

    def _take_all(self) -> None:
        while self._items:
            group = [self._items.popleft() for _ in range(min(MOST_TOGETHER, len(self._items)))]
            while self._try(partial(self._take, group)) is AWAY:
                time.sleep(DATABASE_PAUSE_SECONDS)
        self._let_go()
        with self._lock:
            if not self._items:
                self._idle.set()

    def _let_go(self) -> None:
        if self._has_connection and time.monotonic() - self._used_at >= LET_GO_AFTER_SECONDS:
            connections.close_all()
            self._has_connection = False

    def _try(self, work: Callable[[], R]) -> R | float | None:
        """Return what `work` does, or AWAY if the database is. Any other error is logged, and `work` has ended."""
        if time.monotonic() - self._used_at > LOOK_AFTER_SECONDS:
            connections[DEFAULT_DB_ALIAS].health_check_done = False  # type: ignore[attr-defined]
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database is away, answers of providers wait: %s", str(error).strip())
            connections.close_all()
            return AWAY
        except Exception:
            logger.exception("A group could not be dealt with")
            return None
        finally:
            if connections[DEFAULT_DB_ALIAS].connection is not None:
                self._used_at, self._has_connection = time.monotonic(), True
