"""A deadline for calls to a silent server: frozen, or behind a network that drops packets.

Timeouts of server and TCP do not apply: a frozen machine's kernel goes on acknowledging. A thread shuts the
socket down, which libpq reports as a closed connection.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from django.conf import settings

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

T = TypeVar("T")

logger = logging.getLogger(__name__)

NEVER = float("inf")
# Nesting depth of `lifted` in this process.
_lifted = 0


@contextmanager
def lifted() -> Iterator[None]:
    """Suspend the deadline in all of this process, for work that lifts `statement_timeout` too."""
    global _lifted  # noqa: PLW0603
    _lifted += 1
    try:
        yield
    finally:
        _lifted -= 1


class Deadline:
    """Ends a call on a connection after twice the statement timeout. One for each connection: calls are many."""

    def __init__(self, connection: "PGconn") -> None:
        self._connection, self._lock = connection, threading.Lock()
        self._seconds = 2 * settings.COMMAND_TIMEOUT_SECONDS
        self.until = NEVER  # when the running call is ended; NEVER between calls
        self._watch = watch()
        self._watch.add(self)

    def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a function that waits for the server; if it is ended, libpq has an error for it."""
        if not _lifted:
            self.until = time.monotonic() + self._seconds
            if self.until < self._watch.wakes_at:
                self._watch.wake()
        try:
            return function(*arguments, **options)
        finally:
            # The lock keeps the descriptor from being reused before it is shut down.
            with self._lock:
                self.until = NEVER

    def end_overdue(self, now: float) -> None:
        with self._lock:
            if self.until > now:
                return
            self.until = NEVER
            logger.warning("PostgreSQL has been silent for too long; its connection is given up")
            _shut_down(self._connection.socket)


class Watch:
    """The deadlines of this process, and the thread that ends overdue calls.

    It sleeps until the first deadline at which a call may be overdue: short calls, however many, wake it once in that
    time. It rests while there are none.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._deadlines: WeakSet[Deadline] = WeakSet()
        self._lock, self._call = threading.Lock(), threading.Event()
        self.wakes_at = 0.0
        threading.Thread(target=self._run, name="deadlines", daemon=True).start()

    @property
    def is_resting(self) -> bool:
        return self.wakes_at == NEVER

    def add(self, one: Deadline) -> None:
        with self._lock:
            self._deadlines.add(one)

    def wake(self) -> None:
        self._call.set()

    def _run(self) -> None:
        while True:
            # A call begins before it looks whether to wake us: it is found here, or wakes us.
            self.wakes_at = NEVER
            now = time.monotonic()
            for one in self._all():
                one.end_overdue(now)
            self.wakes_at = min((one.until for one in self._all()), default=NEVER)
            self._call.wait(None if self.is_resting else max(0.0, self.wakes_at - now))
            self._call.clear()

    def _all(self) -> list[Deadline]:
        with self._lock:
            return list(self._deadlines)


def _shut_down(descriptor: int) -> None:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as own:
            own.shutdown(socket.SHUT_RDWR)
    except OSError as error:  # the peer has closed it meanwhile
        logger.info("It was closed already: %s", error)


_lock = threading.Lock()
_current: Watch | None = None


def watch() -> Watch:
    """Return this process's watch."""
    global _current  # noqa: PLW0603
    current = _current
    if current is not None and current.pid == os.getpid():
        return current
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = Watch()
        return _current
