"""What the processes know in common about the providers, kept in Valkey; doing without it when it is away."""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from django.conf import settings

from runtime import optional_valkey

T = TypeVar("T")

logger = logging.getLogger(__name__)

# A provider call must not wait for the memory of past calls.
SOCKET_TIMEOUT_SECONDS = 0.25
# So long an absent Valkey is left alone, so that not every call pays that timeout.
AWAY_SECONDS = 1.0


class SharedMemory:
    """One process's way to Valkey. Whoever asks says what to assume when it is away."""

    def __init__(self, url: str) -> None:
        self._redis = optional_valkey.fail_fast_client(url, seconds=SOCKET_TIMEOUT_SECONDS)
        self._away_until = 0.0
        self._scripts: dict[str, Callable[..., Any]] = {}
        self._lock = threading.Lock()

    def ask(self, question: Callable[[redis.Redis], T], *, otherwise: T) -> T:
        """The answer, or `otherwise` when Valkey is away or was a moment ago."""
        if time.monotonic() < self._away_until:
            return otherwise
        try:
            return question(self._redis)
        except (redis.RedisError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            logger.warning("The shared state of the providers is out of reach: %s", error)
            return otherwise

    def run(self, script: str, *, keys: list[str], args: list[Any], otherwise: T) -> T:
        """Run a Lua script, as `ask` does."""
        with self._lock:
            if script not in self._scripts:
                self._scripts[script] = self._redis.register_script(script)
        run = self._scripts[script]
        return self.ask(lambda _: run(keys=keys, args=args), otherwise=otherwise)


def shared_memory() -> SharedMemory:
    """This process's own: a connection is not to be carried across a fork."""
    return _shared_memory(settings.CACHE_URL, os.getpid())


@functools.lru_cache(maxsize=4)
def _shared_memory(url: str, pid: int) -> SharedMemory:  # noqa: ARG001 - the process is part of the name
    return SharedMemory(url)
