"""How Valkey is reached by whatever can do without it for a while."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def fail_fast_client(url: str, *, seconds: float) -> redis.Redis:
    """Return a client that gives up after so many seconds and does not try again; it answers in text."""
    return redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
