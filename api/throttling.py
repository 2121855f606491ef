"""How often one user may ask: token buckets in Valkey, filled and emptied by one atomic script.

Placing an order needs PostgreSQL alone. So when Valkey is away, requests are let through: the first notices
within `PATIENCE_SECONDS`, those of the next second do not even ask. Only logins are refused meanwhile.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis
import structlog
from django.conf import settings
from rest_framework import status
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from api.problems import Problem
from runtime import optional_valkey

logger = structlog.get_logger(__name__)

PATIENCE_SECONDS = 0.05
COOL_DOWN_SECONDS = 1.0
PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# KEYS[1] is the bucket, ARGV the tokens it holds and the seconds until it gets another. Returns the seconds to
# wait, 0 if let through. What is kept is the moment at which the bucket will be full again, so that one number, and
# one write, is all there is to it. Valkey's clock counts, so that all processes agree; as a fraction it is not exact,
# hence the thousandth.
TAKE = """
local capacity, gap = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0)) + gap
local wait = full_at - now - capacity * gap
if wait > gap / 1000 then return tostring(wait) end
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000))
return '0'
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests at once, and as many again over so many seconds."""

    requests: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Rate | None":
        """Return the rate that "200/s" or "10/minute" stands for; None for "off". ValueError if neither."""
        if text == "off":
            return None
        requests, _, period = text.partition("/")
        if not requests.isdigit() or int(requests) < 1 or period[:1] not in PERIODS:
            raise ValueError(f'A rate is like "200/s", "10/minute" or "off", not {text!r}.')
        return cls(int(requests), PERIODS[period[:1]])


class Unavailable(Exception):
    """Valkey did not answer, just now or within the last second."""


class Buckets:
    """The token buckets of all users, shared by all processes."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = optional_valkey.fail_fast_client(url, seconds=PATIENCE_SECONDS).connection_pool
        self._own = threading.local()
        self._clock, self._leave_alone_until = clock, -math.inf

    def take(self, bucket: str, rate: Rate) -> float:
        """Take a token. Return 0, or the seconds until there is one; Unavailable if nobody can tell."""
        if self._clock() < self._leave_alone_until:
            raise Unavailable
        try:
            return float(self._ask("EVAL", TAKE, 1, bucket, rate.requests, rate.seconds / rate.requests))
        except redis.RedisError as error:
            self._leave_alone_until = self._clock() + COOL_DOWN_SECONDS
            logger.warning("throttle_unavailable", error=type(error).__name__)
            raise Unavailable from error

    def _ask(self, *command: str | float) -> str:
        """Return the answer to a command, over the thread's own connection: a pool costs more than the command."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._pool.connection_class(**self._pool.connection_kwargs)
        try:
            return _answer(connection, command)
        except redis.ConnectionError:
            return _answer(connection, command)  # it was closed since; it connects anew by itself


def _answer(connection: Any, command: tuple[str | float, ...]) -> str:
    connection.send_command(*command)
    answer: str = connection.read_response()
    return answer


@cache
def buckets() -> Buckets:
    """Return this process's way to the buckets."""
    return Buckets(settings.CACHE_URL)


class Throttle(BaseThrottle):
    """Lets a user, or a nameless client's address, read and write so often, each on its own account."""

    _wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:  # noqa: ARG002 DRF passes it
        """Whether to let it through."""
        scope = self.scope(request)
        rate = Rate.parse(settings.THROTTLE_RATES[scope])
        if rate is None:
            return True
        try:
            self._wait = buckets().take(f"throttle:{scope}:{self.who(request)}", rate)
        except Unavailable:
            return self.when_unavailable()
        return self._wait == 0

    def wait(self) -> float:
        """Seconds until the next request may come."""
        return self._wait

    def scope(self, request: Request) -> str:
        """Which of the user's accounts pays."""
        return "reads" if request.method in SAFE_METHODS else "writes"

    def when_unavailable(self) -> bool:
        """What to do when Valkey is away."""
        return True

    def who(self, request: Request) -> str:
        """Return whose accounts they are."""
        return f"user:{request.user.pk}" if request.user.is_authenticated else f"ip:{self.get_ident(request)}"


class LoginThrottle(Throttle):
    """Lets an address try so many logins. Refuses when it cannot count: passwords must not be guessable."""

    def who(self, request: Request) -> str:
        """Return the address: who it is, is what the login is about."""
        return f"ip:{self.get_ident(request)}"

    def scope(self, request: Request) -> str:  # noqa: ARG002
        """Logins have an account of their own."""
        return "logins"

    def when_unavailable(self) -> bool:
        """Refuse for now."""
        raise Problem(
            "temporarily_unavailable",
            "Logging in is not possible just now.",
            status_code=status.HTTP_503_SERVICE_UNAVAILABLE,
            retry_after=COOL_DOWN_SECONDS,
        )
