"""Rate limits by token buckets in Valkey, updated by one atomic script.

Without Valkey requests pass, at most TIMEOUT_SECONDS late; only logins are refused.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
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
from runtime.optional_valkey import Away, OptionalValkey
from runtime.per_process import per_process

logger = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 0.05
COOL_DOWN_SECONDS = 1.0
ROWS_PER_TOKEN = 20
MOST_ROWS_PAID_FOR = 200

# ARGV: capacity, seconds per token, tokens, seconds the caller will wait. Returns the seconds to wait and until the
# bucket is full; takes nothing if the wait is too long. The value is the time at which the bucket is full, by Valkey's
# clock, common to all processes; too far ahead (a corrected clock) it counts as full. The thousandth covers rounding.
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
    wait: float
    full_in: float


Unavailable = Away


class Buckets:
    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = optional_valkey.fail_fast_client(url, seconds=TIMEOUT_SECONDS).connection_pool
        self._own = threading.local()
        self._valkey = OptionalValkey("requests are not throttled", cool_down=COOL_DOWN_SECONDS, clock=clock)

    def take(self, bucket: str, rate: Rate, *, tokens: int = 1) -> float:
        """Take tokens. Return 0 or the seconds to wait. Raises Unavailable."""
        return self.request(bucket, rate, tokens=tokens).wait

    def request(self, bucket: str, rate: Rate, *, tokens: int = 1, ready_to_wait: float = 0.0) -> Taken:
        """Take tokens if the wait is at most `ready_to_wait`; negative ones are refunded. Raises Unavailable."""
        tokens = min(tokens, rate.requests)
        wait, full_in = self.ask("EVAL", TAKE, 1, bucket, rate.requests, rate.gap, tokens, ready_to_wait)
        return Taken(float(wait), float(full_in))

    def _ask(self, *command: str | float) -> list[str]:
        """Run a command without a pool, which costs more."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._pool.connection_class(**self._pool.connection_kwargs)
        try:
            return _answer(connection, command)
        except redis.ConnectionError:
            return _answer(connection, command)  # stale connection; redis-py reconnects

    def ask(self, *command: str | float) -> Any:
        """Run a command. Raises Unavailable."""
        return self._valkey.call(lambda: self._ask(*command))


def _answer(connection: Any, command: tuple[str | float, ...]) -> list[str]:
    connection.send_command(*command)
    answer: list[str] = connection.read_response()
    return answer


@per_process
def buckets() -> Buckets:
    return Buckets(settings.CACHE_URL)


def rate_of(scope: str, user_id: int | None = None) -> Rate | None:
    """Return an account's rate, None if unlimited. Raises Problem if blocked."""
    text = override_of(user_id, scope) or settings.THROTTLE_RATES.get(scope, "off")
    if text == BLOCKED:
        raise Problem(
            "account_blocked",
            "An operator has blocked this for the account.",
            status_code=status.HTTP_403_FORBIDDEN,
        )
    return Rate.parse(text)


def cost_of(view: Any, parameters: Any) -> int:
    rows = parameters.get("pageSize", "")
    is_number = rows.isascii() and rows.isdigit() and len(rows) < 4
    paid_for = min(int(rows), MOST_ROWS_PAID_FOR) // ROWS_PER_TOKEN if is_number else 0
    return int(getattr(view, "read_cost", 1)) + paid_for


@dataclass(frozen=True, slots=True)
class Standing:
    rate: Rate
    full_in: float
    scope: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of draft-ietf-httpapi-ratelimit-headers-10, and those of its older versions."""
        used = math.ceil(self.full_in / self.rate.gap - 0.001)
        left, seconds = max(0, self.rate.requests - used), math.ceil(self.full_in)
        return {
            "RateLimit-Policy": f'"{self.scope}";q={self.rate.requests};w={math.ceil(self.rate.seconds)}',
            "RateLimit": f'"{self.scope}";r={left};t={seconds}',
            "RateLimit-Limit": str(self.rate.requests),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(seconds),
        }


class Throttle(BaseThrottle):
    _wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
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
        request._request.standing = Standing(rate, taken.full_in, scope)  # type: ignore[attr-defined]
        return self._wait == 0

    def wait(self) -> float:
        return self._wait

    def scope(self, request: Request) -> str:
        return "reads" if request.method in SAFE_METHODS else "writes"

    def when_unavailable(self) -> bool:
        return True

    def account(self, request: Request) -> int | None:
        """Return the account, None for default limits."""
        return request.user.pk if request.user.is_authenticated else None

    def who(self, request: Request) -> str:
        return f"user:{request.user.pk}" if request.user.is_authenticated else f"ip:{self.get_ident(request)}"


class LoginThrottle(Throttle):
    """Limits logins per address. Fails closed, against guessed passwords."""

    def account(self, request: Request) -> int | None:  # noqa: ARG002
        """No account before the login."""
        return None

    def who(self, request: Request) -> str:
        return f"ip:{self.get_ident(request)}"

    def scope(self, request: Request) -> str:  # noqa: ARG002
        return "logins"

    def when_unavailable(self) -> bool:
        """Raise Problem."""
        raise Problem(
            "temporarily_unavailable",
            "Login is temporarily unavailable.",
            status_code=status.HTTP_503_SERVICE_UNAVAILABLE,
            retry_after=COOL_DOWN_SECONDS,
        )
