"""A result backend that counts a chord's legs in one round trip and stores no results.

Defect: Celery's needs up to seven round trips per leg, counts a redelivered leg twice, loses the body if a worker
dies just before sending it, and sends it if nothing is left for it.
Test: tests/config/test_results.py.
Remove: when Celery counts legs by task id and can skip results (5.7 does neither).
"""

from typing import Any

from celery import current_app, states
from celery.backends.redis import RedisBackend
from celery.canvas import maybe_signature

# outlives the lease, so any leg
EXPIRES_SECONDS = 120

# A set counts a repeated leg once. Every arrival at the full count sends the body, in case a worker died before it
# could; every step is idempotent.
ARRIVE = """
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('SCARD', KEYS[1]) == tonumber(redis.call('GET', KEYS[2]))
"""


class Joins(RedisBackend):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arrive = self.client.register_script(ARRIVE)

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Subscribe to nothing: results are not read."""

    def add_pending_result(self, result: Any, *_: Any, **__: Any) -> Any:
        """Return the result without tracking it."""
        return result

    def remove_pending_result(self, result: Any) -> Any:
        return result

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Store the number of legs. Raises redis.RedisError."""
        self.client.set(self._size_key(group_id), chord_size, ex=EXPIRES_SECONDS)

    def on_chord_part_return(self, request: Any, state: str, result: Any, *_: Any, **__: Any) -> None:
        """Send the body if this was the last leg. A failed leg does not count: its orders become due again.

        With True as its result nothing is left for the body.
        """
        if not request.group or state in states.PROPAGATE_STATES:
            return
        keys = [self.get_key_for_group(request.group, ".j"), self._size_key(request.group)]
        if self._arrive(keys=keys, args=[request.id, EXPIRES_SECONDS]) and result is not True:
            body: Any = maybe_signature(request.chord, app=current_app)
            body.delay([])

    def _size_key(self, group_id: str) -> Any:
        return self.get_key_for_group(group_id, ".s")
