"""Hands items from many threads to one thread in groups, on one database connection."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections

T = TypeVar("T")
R = TypeVar("R")

logger = logging.getLogger(__name__)

# Items during a group, or this long after its start, form the next.
GATHERING_SECONDS = 0.01
MOST_TOGETHER = 500
DATABASE_PAUSE_SECONDS = 0.5
AWAY = DATABASE_PAUSE_SECONDS
# An idle connection is checked after this long, closed after as long again.
LOOK_AFTER_SECONDS = 1.0
LET_GO_AFTER_SECONDS = 20.0


def by_halves(
    work: Callable[[Sequence[T]], R], items: Sequence[T], *, alone: Callable[[T, Exception], None]
) -> Iterator[R]:
    """Work on items together and yield the result; on an unexpected error by halves, so that it costs one item only.

    `alone` gets that item and its error. Errors of the database itself propagate: they prove nothing about an item.
    """
    try:
        done = work(items)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if len(items) <= 1:
            alone(items[0], error)
            return
        logger.warning("%s items fail together: each half by itself", len(items), exc_info=True)
        middle = len(items) // 2
        yield from by_halves(work, items[:middle], alone=alone)
        yield from by_halves(work, items[middle:], alone=alone)
    else:
        yield done


class Collector(Generic[T]):
    """A thread that processes items in groups. While the database is unavailable, a group is retried."""

    def __init__(
        self,
        take: Callable[[Sequence[T]], None],
        *,
        name: str,
        routine: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`take` processes a group. `routine` runs on the same thread, again after the seconds it returns.

        After None it runs only once an item arrives or `wake` is called.
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
        self._news.set()

    def add(self, item: T) -> None:
        """Enqueue an item without blocking."""
        with self._lock:
            self._items.append(item)
            self._idle.clear()
        self._news.set()

    def wait_until_idle(self, *, seconds: float) -> bool:
        """Whether all items are processed within `seconds`."""
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
        """Return the result of `work`, or AWAY without a database."""
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
