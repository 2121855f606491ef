"""How often one account may ask: token buckets in Valkey, filled and emptied by one atomic script.

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
from limits.overrides import override_of
from limits.rates import BLOCKED, Rate
from runtime import optional_valkey

logger = structlog.get_logger(__name__)

PATIENCE_SECONDS = 0.05
COOL_DOWN_SECONDS = 1.0
# Of a list, a request pays one more token for each of so many rows that a page may have.
ROWS_PER_TOKEN = 20
MOST_ROWS_PAID_FOR = 200

# KEYS[1] is the bucket. ARGV: the tokens it holds, the seconds until it gets another, the tokens to take, and the
# seconds that the caller is ready to wait for them. Returns the seconds to wait and those until the bucket is full;
# nothing is taken if the wait is longer than the caller's. What is kept is the moment at which the bucket will be full
# again, so that one number, and one write, is all there is to it. Valkey's clock counts, so that all processes agree;
# as a fraction it is not exact, hence the thousandth. A moment too far ahead comes from a clock that was put right
# since: that bucket counts as full.
TAKE = """
local capacity, gap, tokens, ready = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
if full_at > now + capacity * gap + ready + gap then full_at = now end
local taken_at = math.max(now, full_at + gap * tokens)
local wait = math.max(0, taken_at - now - capacity * gap)
if wait > ready + gap / 1000 then return {tostring(wait), tostring(full_at - now)} end
redis.call('SET', KEYS[1], string.format('%.6f', taken_at), 'PX', math.max(1, math.ceil((taken_at - now) * 1000)))
if wait <= gap / 1000 then wait = 0 end
return {tostring(wait), tostring(taken_at - now)}
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking tokens. Times in seconds."""

    wait: float  # until they are there; nothing was taken if it is longer than the caller was ready to wait
    full_in: float  # until the bucket is full again


class Unavailable(Exception):
    """Valkey did not answer, just now or within the last second."""


class Buckets:
    """The token buckets of all accounts, shared by all processes."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = optional_valkey.fail_fast_client(url, seconds=PATIENCE_SECONDS).connection_pool
        self._own = threading.local()
        self._clock, self._leave_alone_until = clock, -math.inf

    def take(self, bucket: str, rate: Rate, *, tokens: int = 1) -> float:
        """Take tokens. Return 0, or the seconds until there are as many; Unavailable if Valkey cannot be asked."""
        return self.request(bucket, rate, tokens=tokens).wait

    def request(self, bucket: str, rate: Rate, *, tokens: int = 1, ready_to_wait: float = 0.0) -> Taken:
        """Take tokens, at most all that the bucket holds. Raises Unavailable.

        They are taken, and the caller waits for as long as the answer says, if that is no longer than
        `ready_to_wait` seconds. A negative number puts tokens back.
        """
        if self._clock() < self._leave_alone_until:
            raise Unavailable
        tokens = min(tokens, rate.requests)
        try:
            wait, full_in = self._ask("EVAL", TAKE, 1, bucket, rate.requests, rate.gap, tokens, ready_to_wait)
        except redis.RedisError as error:
            self._leave_alone_until = self._clock() + COOL_DOWN_SECONDS
            logger.warning("throttle_unavailable", error=type(error).__name__)
            raise Unavailable from error
        return Taken(float(wait), float(full_in))

    def _ask(self, *command: str | float) -> list[str]:
        """Return the answer to a command, over the thread's own connection: a pool costs more than the command."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._pool.connection_class(**self._pool.connection_kwargs)
        try:
            return _answer(connection, command)
        except redis.ConnectionError:
            return _answer(connection, command)  # it was closed since; it connects anew by itself

    def ask(self, *command: str | float) -> Any:
        """Return the answer to a command; Unavailable if nobody can tell."""
        if self._clock() < self._leave_alone_until:
            raise Unavailable
        try:
            return self._ask(*command)
        except redis.RedisError as error:
            self._leave_alone_until = self._clock() + COOL_DOWN_SECONDS
            logger.warning("throttle_unavailable", error=type(error).__name__)
            raise Unavailable from error


def _answer(connection: Any, command: tuple[str | float, ...]) -> list[str]:
    connection.send_command(*command)
    answer: list[str] = connection.read_response()
    return answer


@cache
def buckets() -> Buckets:
    """Return this process's way to the buckets."""
    return Buckets(settings.CACHE_URL)


def rate_of(scope: str, user_id: int | None = None) -> Rate | None:
    """Return the rate that holds for an account, or for everybody; None if there is no limit.

    Raises Problem if an operator has blocked the account.
    """
    text = override_of(user_id, scope) or settings.THROTTLE_RATES.get(scope, "off")
    if text == BLOCKED:
        raise Problem(
            "account_blocked",
            "This account may not do this at present.",
            status_code=status.HTTP_403_FORBIDDEN,
        )
    return Rate.parse(text)


def cost_of(view: Any, parameters: Any) -> int:
    """Return how many tokens a request pays that only looks something up: its view's cost, and its rows'.

    A view of more than one token names them as `read_cost`.
    """
    rows = parameters.get("pageSize", "")
    is_number = rows.isascii() and rows.isdigit() and len(rows) < 4
    paid_for = min(int(rows), MOST_ROWS_PAID_FOR) // ROWS_PER_TOKEN if is_number else 0
    return int(getattr(view, "read_cost", 1)) + paid_for


@dataclass(frozen=True, slots=True)
class Standing:
    """How a request left its account's bucket, for the headers of the answer."""

    rate: Rate
    full_in: float

    @property
    def headers(self) -> dict[str, str]:
        """As clients know them from elsewhere; the reset is in seconds."""
        used = math.ceil(self.full_in / self.rate.gap - 0.001)
        return {
            "RateLimit-Limit": str(self.rate.requests),
            "RateLimit-Remaining": str(max(0, self.rate.requests - used)),
            "RateLimit-Reset": str(math.ceil(self.full_in)),
        }


class Throttle(BaseThrottle):
    """Lets an account, or an anonymous client's address, read and write up to its rates, each from its own bucket."""

    _wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether to let it through."""
        scope = self.scope(request)
        rate = rate_of(scope, self.account(request))
        if rate is None:
            return True
        tokens = cost_of(view, request.GET) if scope == "reads" else 1
        try:
            taken = buckets().request(f"throttle:{scope}:{self.who(request)}", rate, tokens=tokens)
        except Unavailable:
            return self.when_unavailable()
        self._wait = taken.wait
        request._request.standing = Standing(rate, taken.full_in)  # type: ignore[attr-defined]
        return self._wait == 0

    def wait(self) -> float:
        """Seconds until the next request may come."""
        return self._wait

    def scope(self, request: Request) -> str:
        """Which of the account's buckets pays."""
        return "reads" if request.method in SAFE_METHODS else "writes"

    def when_unavailable(self) -> bool:
        """What to do when Valkey is away."""
        return True

    def account(self, request: Request) -> int | None:
        """Return whose limits hold; None: those for everybody."""
        return request.user.pk if request.user.is_authenticated else None

    def who(self, request: Request) -> str:
        """Return whose buckets they are."""
        return f"user:{request.user.pk}" if request.user.is_authenticated else f"ip:{self.get_ident(request)}"


class LoginThrottle(Throttle):
    """Lets an address try so many logins. Refuses when it cannot count: passwords must not be guessable."""

    def account(self, request: Request) -> int | None:  # noqa: ARG002
        """Nobody's: who it is, is what the login is about."""
        return None

    def who(self, request: Request) -> str:
        """Return the address."""
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
