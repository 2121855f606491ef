"""Heartbeats: entries in Valkey that age by its clock.

A process beats from its main loop, so a hanging loop goes silent; a thread publishes, so no loop waits for Valkey.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from django.conf import settings

from runtime import optional_valkey
from runtime.per_process import per_process

logger = logging.getLogger(__name__)

KEY = "heartbeats"
PUBLISH_SECONDS = 3.0
# A process that was silent this long counts as gone …
GONE_SECONDS = 15.0
# … and its entry is deleted after this long.
FORGOTTEN_SECONDS = 3600.0
SOCKET_TIMEOUT_SECONDS = 0.5

# Score: time of the beat by Valkey's clock.
PUBLISH = """
local now = redis.call('TIME')
local moment = now[1] + now[2] / 1000000
redis.call('ZADD', KEYS[1], moment - ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', moment - ARGV[4], 'BYSCORE')) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('HDEL', KEYS[2], member)
end
-- A future beat was written before the clock was corrected. Live processes beat again soon.
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '(' .. (moment + ARGV[5]), '+inf', 'BYSCORE')) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('HDEL', KEYS[2], member)
end
"""


class Unreachable(Exception):
    """The heartbeats could not be read."""


@dataclass(frozen=True)
class Presence:
    name: str
    node: str
    pid: int
    age_seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        return self.age_seconds < GONE_SECONDS


def beat(name: str, **facts: Any) -> None:
    """Record that `name` is alive, with JSON facts. Never raises."""
    _publisher().note(name, facts)


def leave(name: str) -> None:
    """Remove the process `name`, which ends now. Never raises."""
    _publisher().leave(name)


def touch() -> None:
    """Touch HEARTBEAT_FILE, for health checks without network."""
    if not settings.HEARTBEAT_FILE:
        return
    try:
        Path(settings.HEARTBEAT_FILE).touch()
    except OSError as error:
        logger.debug("No heartbeat in %s: %s", settings.HEARTBEAT_FILE, error)


def alive() -> dict[str, float]:
    """Return the age of each live name's latest heartbeat. Raises Unreachable."""
    ages: dict[str, float] = {}
    for presence in present():
        if presence.is_alive:
            ages[presence.name] = min(presence.age_seconds, ages.get(presence.name, GONE_SECONDS))
    return ages


def present() -> list[Presence]:
    """Return all known processes, silent ones included. Raises Unreachable."""
    try:
        with _client() as client:
            pipeline = client.pipeline(transaction=True)
            pipeline.time()
            pipeline.zrange(KEY, 0, -1, withscores=True)
            pipeline.hgetall(f"{KEY}:facts")
            (seconds, micros), members, facts = pipeline.execute()
    except (redis.RedisError, OSError) as error:
        raise Unreachable(str(error)) from error
    now = seconds + micros / 1e6
    found = (_presence(member, now - beat_at, facts.get(member, "{}")) for member, beat_at in members)
    return sorted(
        (presence for presence in found if presence is not None),
        key=lambda presence: (presence.name, presence.node, presence.pid),
    )


def _presence(member: str, age: float, facts: str) -> Presence | None:
    # A future beat predates a correction of the clock.
    age = GONE_SECONDS if age < -GONE_SECONDS else max(0.0, age)
    try:
        name, node, pid = member.split("|")
        return Presence(name, node, int(pid), age, dict(json.loads(facts)))
    except (ValueError, TypeError, RecursionError):
        return None


def _client() -> redis.Redis:
    return optional_valkey.fail_fast_client(settings.CACHE_URL, seconds=SOCKET_TIMEOUT_SECONDS)


class HeartbeatPublisher:
    """Publishes this process's heartbeats to Valkey from a daemon thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._beats: dict[str, tuple[float, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        # Held while publishing: an entry removed by `leave` must not reappear.
        self._publishing = threading.Lock()
        self._published: dict[str, float] = {}
        self._touched: dict[str, float] = {}
        self._wake = threading.Event()
        self._client = _client()
        self._publish = self._client.register_script(PUBLISH)
        threading.Thread(target=self._run, name="heartbeats", daemon=True).start()

    def note(self, name: str, facts: dict[str, Any]) -> None:
        """Record a heartbeat; only a new name wakes the thread."""
        with self._lock:
            is_new = name not in self._beats
            self._beats[name] = (time.monotonic(), facts)
        if is_new:
            self._wake.set()

    def leave(self, name: str) -> None:
        """Remove the entry; with Valkey away it ages out."""
        with self._lock:
            self._beats.pop(name, None)
        try:
            with self._publishing:
                self._client.zrem(KEY, self._member(name))
                self._client.hdel(f"{KEY}:facts", self._member(name))
        except (redis.RedisError, OSError) as error:
            logger.info("Could not remove the heartbeat of %s: %s", name, error)

    def _run(self) -> None:
        while True:
            self._wake.wait(PUBLISH_SECONDS)
            self._wake.clear()
            with self._lock:
                beats = dict(self._beats)
            for name, (at, facts) in beats.items():
                if self._touched.get(name) != at:
                    self._touched[name] = at
                    touch()
                with self._publishing:
                    if self._published.get(name) != at and name in self._beats:
                        self._publish_beat(name, at, facts)

    def _publish_beat(self, name: str, at: float, facts: dict[str, Any]) -> None:
        try:
            self._publish(
                keys=[KEY, f"{KEY}:facts"],
                args=[
                    self._member(name),
                    time.monotonic() - at,
                    json.dumps(facts),
                    FORGOTTEN_SECONDS,
                    GONE_SECONDS,
                ],
            )
            self._published[name] = at
        except (redis.RedisError, OSError) as error:
            logger.debug("No heartbeat of %s: %s", name, error)

    def _member(self, name: str) -> str:
        return f"{name}|{settings.NODE}|{self.pid}"


@per_process
def _publisher() -> HeartbeatPublisher:
    return HeartbeatPublisher()
