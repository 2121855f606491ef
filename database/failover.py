"""Waits for a new leader inside a request, for a bounded time, instead of failing it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import psycopg
from django.db import InterfaceError, OperationalError, close_old_connections

T = TypeVar("T")

PAUSE_SECONDS = 0.1
OUTAGES = ("08", "57P", "25006")

_until: ContextVar[float] = ContextVar("until", default=0.0)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """For this long in all."""
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def pause() -> bool:
    """Wait a moment; False at once if the patience is used up."""
    if time.monotonic() + PAUSE_SECONDS > _until.get():
        return False
    time.sleep(PAUSE_SECONDS)
    return True


def through(work: Callable[[], T], *, seconds: float) -> T:
    """Run work that may run twice; again after an outage that ends within `seconds`. Raises OperationalError."""
    with patience(seconds):
        while True:
            try:
                return work()
            except (OperationalError, InterfaceError) as error:
                if not (is_outage(error) and pause()):
                    raise
                close_old_connections()


def is_outage(error: BaseException) -> bool:
    """Timeouts of statements and locks are none."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    cause = error.__cause__
    while isinstance(cause, psycopg.Error) and isinstance(cause.__cause__, psycopg.Error):
        cause = cause.__cause__
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(OUTAGES)
