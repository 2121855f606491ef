"""Objects of which each process has one: threads, connections and locks do not survive a fork."""

import functools
import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class per_process(Generic[P, T]):  # noqa: N801 - reads as the decorator that it is
    """Cache what a function makes, per process and arguments. Thread-safe: it is called once for each.

    What a parent made stays referenced in its children: a destructor there could end a connection of the parent.
    """

    def __init__(self, make: Callable[P, T]) -> None:
        self._make = make
        self._made: dict[Hashable, T] = {}
        self._renew_lock()
        # Another thread may hold the lock during the fork.
        os.register_at_fork(after_in_child=self._renew_lock)
        functools.update_wrapper(self, make)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        key = self._key(args, kwargs)
        try:
            return self._made[key]
        except KeyError:
            with self._lock:
                if key not in self._made:
                    self._made[key] = self._make(*args, **kwargs)
                return self._made[key]

    def exists(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        return self._key(args, kwargs) in self._made

    def cache_clear(self) -> None:
        self._made.clear()

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        return (os.getpid(), args, tuple(sorted(kwargs.items())))

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
