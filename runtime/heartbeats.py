"""Which processes are alive, as they say themselves: signs of life in Valkey that grow old by themselves.

A process calls `beat` from its main loop, so that a loop that hangs falls silent although the process lives.
A thread carries the latest sign to Valkey, so that the loop never waits for it. Ages are by Valkey's clock.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis
from django.conf import settings

from runtime import optional_valkey

logger = logging.getLogger(__name__)

KEY = "heartbeats"
PUBLISH_SECONDS = 3.0
# A process that was silent for so long counts as gone …
GONE_SECONDS = 15.0
# … and is forgotten after so long. Until then its age can be told.
FORGOTTEN_SECONDS = 3600.0
SOCKET_TIMEOUT_SECONDS = 0.5

# The score is the moment of the beat by Valkey's clock; a process that ended cleanly takes its line out.
PUBLISH = """
local now = redis.call('TIME')
local moment = now[1] + now[2] / 1000000
redis.call('ZADD', KEYS[1], moment - ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', moment - ARGV[4], 'BYSCORE')) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('HDEL', KEYS[2], member)
end
"""


class Unreachable(Exception):
    """The signs of life could not be read, so nothing is known about anybody."""


@dataclass(frozen=True)
class Presence:
    """A process that showed a sign of life."""

    name: str
    node: str
    pid: int
    age_seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether its last sign is recent."""
        return self.age_seconds < GONE_SECONDS


def beat(name: str, **facts: Any) -> None:
    """Note that the process called `name` is alive, and what it says about itself (as JSON). Never raises."""
    _herald().note(name, facts)


def leave(name: str) -> None:
    """Say that the process called `name` ends now, so that nobody waits for it. Never raises."""
    _herald().leave(name)


def alive() -> dict[str, float]:
    """Return how many seconds ago each process that counts as alive last beat, the youngest of each name.

    Raises Unreachable.
    """
    ages: dict[str, float] = {}
    for presence in present():
        if presence.is_alive:
            ages[presence.name] = min(presence.age_seconds, ages.get(presence.name, GONE_SECONDS))
    return ages


def present() -> list[Presence]:
    """Return everybody who is remembered, the silent ones too, by name. Raises Unreachable."""
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
    return sorted(
        (_presence(member, now - beat_at, facts.get(member, "{}")) for member, beat_at in members),
        key=lambda presence: (presence.name, presence.node, presence.pid),
    )


def _presence(member: str, age: float, facts: str) -> Presence:
    name, node, pid = member.split("|")
    return Presence(name, node, int(pid), max(0.0, age), json.loads(facts))


def _client() -> redis.Redis:
    return optional_valkey.fail_fast_client(settings.CACHE_URL, seconds=SOCKET_TIMEOUT_SECONDS)


class HeartbeatPublisher:
    """Carries this process's signs of life to Valkey, from a thread that dies with it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._signs: dict[str, tuple[float, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        # Held while a sign is on its way, so that nobody who signed off is carried in once more behind it.
        self._carrying = threading.Lock()
        self._published: dict[str, float] = {}
        self._news = threading.Event()
        self._client = _client()
        self._publish = self._client.register_script(PUBLISH)
        threading.Thread(target=self._run, name="heartbeats", daemon=True).start()

    def note(self, name: str, facts: dict[str, Any]) -> None:
        """Take a sign of life; the thread is woken for the first one of a name only."""
        with self._lock:
            is_new = name not in self._signs
            self._signs[name] = (time.monotonic(), facts)
        if is_new:
            self._news.set()

    def leave(self, name: str) -> None:
        """Take the process out of the list at once; where Valkey is away it grows old instead."""
        with self._lock:
            self._signs.pop(name, None)
        try:
            with self._carrying:
                self._client.zrem(KEY, self._member(name))
                self._client.hdel(f"{KEY}:facts", self._member(name))
        except (redis.RedisError, OSError) as error:
            logger.info("Could not sign off as %s: %s", name, error)

    def _run(self) -> None:
        while True:
            self._news.wait(PUBLISH_SECONDS)
            self._news.clear()
            with self._lock:
                signs = dict(self._signs)
            for name, (at, facts) in signs.items():
                with self._carrying:
                    if self._published.get(name) != at and name in self._signs:
                        self._carry(name, at, facts)

    def _carry(self, name: str, at: float, facts: dict[str, Any]) -> None:
        try:
            self._publish(
                keys=[KEY, f"{KEY}:facts"],
                args=[self._member(name), time.monotonic() - at, json.dumps(facts), FORGOTTEN_SECONDS],
            )
            self._published[name] = at
        except (redis.RedisError, OSError) as error:
            logger.debug("No heartbeat of %s: %s", name, error)

    def _member(self, name: str) -> str:
        return f"{name}|{settings.NODE}|{self.pid}"


_lock = threading.Lock()
_current: HeartbeatPublisher | None = None


def _herald() -> HeartbeatPublisher:
    """Return this process's herald: threads do not survive a fork, so a child makes its own."""
    global _current  # noqa: PLW0603
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = HeartbeatPublisher()
        return _current
