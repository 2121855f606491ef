"""Client of Valkey for callers that can do without it."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


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
