"""A deadline for calls to a silent server: frozen, or behind a network that drops packets.

Timeouts of server and TCP do not apply: a frozen machine's kernel goes on acknowledging. A thread shuts the
socket down, which libpq reports as a closed connection.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5  # while there are calls; without any the thread rests
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


class over:  # noqa: N801 - reads as the function that it would be, were generators as cheap
    """The deadline of one call on a socket: twice the statement timeout."""

    __slots__ = ("_call",)

    def __init__(self, descriptor: int) -> None:
        seconds = float("inf") if _lifted else 2 * settings.COMMAND_TIMEOUT_SECONDS
        self._call = _Call(descriptor, time.monotonic() + seconds)

    def __enter__(self) -> None:
        watch().add(self._call)

    def __exit__(self, *_: object) -> None:
        watching = watch()
        # The lock keeps the descriptor from being reused before it is shut down.
        with watching.lock:
            watching.calls.discard(self._call)


class _Call:
    __slots__ = ("descriptor", "until")

    def __init__(self, descriptor: int, until: float) -> None:
        self.descriptor, self.until = descriptor, until


class Watch:
    """The calls under way in this process, and the thread that ends overdue ones."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.calls: set[_Call] = set()
        self.lock = threading.Lock()
        self.is_resting = False
        self._wake = threading.Event()
        threading.Thread(target=self._run, name="deadlines", daemon=True).start()

    def add(self, call: _Call) -> None:
        """Watch a call until it is discarded from `calls`."""
        self.calls.add(call)
        if self.is_resting:  # read after the call is there: `_rest` does it the other way round
            self._wake.set()

    def _rest(self) -> None:
        """Block while there are no calls."""
        self._wake.clear()
        self.is_resting = True
        if not self.calls:
            self._wake.wait()
        self.is_resting = False

    def _run(self) -> None:
        while True:
            self._rest()
            time.sleep(POLL_SECONDS)
            now = time.monotonic()
            for call in [call for call in self.calls.copy() if call.until < now]:
                self._end(call)

    def _end(self, call: _Call) -> None:
        with self.lock:
            if call not in self.calls:
                return
            self.calls.discard(call)
            logger.warning("PostgreSQL has been silent for too long; its connection is given up")
            _shut_down(call.descriptor)


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
