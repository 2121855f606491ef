"""Providers' state that processes share in Valkey, with defaults while it is away."""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from django.conf import settings

from runtime import optional_valkey
from runtime.optional_valkey import OptionalValkey
from runtime.per_process import per_process

T = TypeVar("T")

logger = logging.getLogger(__name__)

# A provider call must not wait for Valkey.
SOCKET_TIMEOUT_SECONDS = 0.25
# An absent Valkey is not retried for this long: few calls pay that timeout.
AWAY_SECONDS = 1.0


class SharedMemory:
    """A connection to Valkey; callers choose the default without it."""

    def __init__(self, url: str) -> None:
        self._redis = optional_valkey.fail_fast_client(url, seconds=SOCKET_TIMEOUT_SECONDS)
        self._valkey = OptionalValkey("each process knows the providers alone", cool_down=AWAY_SECONDS)
        self._scripts: dict[str, Callable[..., Any]] = {}
        self._lock = threading.Lock()

    def ask(self, question: Callable[[redis.Redis], T], *, otherwise: T) -> T:
        """Return the answer, or `otherwise` without Valkey or with malformed data."""
        try:
            return self._valkey.call_or(lambda: question(self._redis), otherwise)
        except (ValueError, LookupError, TypeError) as error:
            logger.warning("The shared state of the providers cannot be read: %r", error)
            return otherwise

    def run(self, script: str, *, keys: list[str], args: list[Any], otherwise: T) -> T:
        """Run a Lua script, with the default of `ask`."""
        with self._lock:
            if script not in self._scripts:
                self._scripts[script] = self._redis.register_script(script)
        run = self._scripts[script]
        return self.ask(lambda _: run(keys=keys, args=args), otherwise=otherwise)


def shared_memory() -> SharedMemory:
    """Return this process's own: connections do not survive a fork."""
    return _shared_memory(settings.CACHE_URL)


@per_process
def _shared_memory(url: str) -> SharedMemory:
    return SharedMemory(url)
