"""How many threads of each web process are busy: the peak of the last seconds, in Valkey, for any scrape."""

import json
import logging
import os
import threading
import time
from dataclasses import dataclass

import redis
from django.conf import settings

from runtime import optional_valkey

logger = logging.getLogger(__name__)

KEY = "web-threads"
CARRY_SECONDS = 2.0
# While no request is in progress: the entry stays younger than GONE_SECONDS.
REST_SECONDS = 6.0
SOCKET_TIMEOUT_SECONDS = 0.5
# An entry this old belongs to a process that ended, or is idle.
GONE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class WebProcess:
    """A web process: its threads, and the most that were busy at once just now."""

    node: str
    pid: int
    busy: int
    threads: int


class BusyThreads:
    """Counts this process's requests in progress; a thread publishes the peak."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = self._peak = 0
        self._thread: threading.Thread | None = None
        self._client: redis.Redis | None = None

    def enter(self) -> None:
        with self._lock:
            self._now += 1
            self._peak = max(self._peak, self._now)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="busy-threads", daemon=True)
                self._thread.start()

    def leave(self) -> None:
        with self._lock:
            self._now -= 1

    def publish(self) -> None:
        """Store the peak, and start the next one. Raises redis.RedisError."""
        with self._lock:
            peak, self._peak = self._peak, self._now
        entry = {"busy": peak, "threads": settings.WEB_THREADS, "at": time.time()}
        if self._client is None:  # kept: a connection takes six commands more
            self._client = _client()
        self._client.hset(KEY, f"{settings.NODE}|{os.getpid()}", json.dumps(entry))

    def _run(self) -> None:
        while True:
            time.sleep(CARRY_SECONDS if self._peak else REST_SECONDS)
            try:
                self.publish()
            except (redis.RedisError, OSError) as error:
                logger.debug("The busy threads stay unknown for now: %s", error)


def processes() -> list[WebProcess]:
    """Return the web processes, and forget those that ended. Raises redis.RedisError."""
    found, gone, now = [], [], time.time()
    with _client() as client:
        stored: dict[str, str] = client.hgetall(KEY)
        for member, text in stored.items():
            entry, (node, pid) = json.loads(text), member.split("|")
            if now - entry["at"] > GONE_SECONDS:
                gone.append(member)
            else:
                found.append(WebProcess(node, int(pid), entry["busy"], entry["threads"]))
        if gone:
            client.hdel(KEY, *gone)
    return found


def _client() -> redis.Redis:
    return optional_valkey.fail_fast_client(settings.CACHE_URL, seconds=SOCKET_TIMEOUT_SECONDS)


here = BusyThreads()


def _reset_after_fork() -> None:
    """Threads do not survive a fork."""
    global here  # noqa: PLW0603
    here = BusyThreads()


os.register_at_fork(after_in_child=_reset_after_fork)
