"""Client of Valkey for callers that can do without it."""

import logging
import math
import time
from collections.abc import Callable
from typing import TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

T = TypeVar("T")

logger = logging.getLogger(__name__)


def fail_fast_client(url: str, *, seconds: float) -> redis.Redis:
    """Return a text client that times out after `seconds` and does not retry."""
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        encoding_errors="replace",  # never fail on undecodable bytes
    )


class Away(Exception):
    """Valkey is unreachable, or was a moment ago."""


class OptionalValkey:
    """Calls of Valkey by those who carry on without it.

    After a failure none is tried for `cool_down` seconds: each would wait for a timeout.
    """

    def __init__(
        self, purpose: str, *, cool_down: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._purpose, self._cool_down, self._clock = purpose, cool_down, clock
        self._back_at = -math.inf

    def call(self, use: Callable[[], T]) -> T:
        """Return the answer. Raises Away."""
        if self._clock() < self._back_at:
            raise Away
        try:
            return use()
        except (redis.RedisError, OSError) as error:
            self._back_at = self._clock() + self._cool_down
            logger.warning("Valkey is away, %s without it: %s", self._purpose, error)
            raise Away from error

    def call_or(self, use: Callable[[], T], otherwise: T) -> T:
        """Return the answer, or `otherwise` while Valkey is away."""
        try:
            return self.call(use)
        except Away:
            return otherwise

    def retry_now(self) -> None:
        self._back_at = -math.inf
