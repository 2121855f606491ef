"""The database from an async test: in a thread, as another process would, leaving no connection behind."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Return what the work returns."""

    def run() -> T:
        try:
            return work(*args, **kwargs)
        finally:
            connections.close_all()

    return asyncio.to_thread(run)
