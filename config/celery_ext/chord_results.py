"""The result backend: it joins the legs of a batch, and keeps nothing, as nobody ever reads what a task returns."""

from typing import Any

from celery import current_app, states
from celery.backends.redis import RedisBackend
from celery.canvas import maybe_signature

# Longer than any leg of a batch may take: its orders' lease is over by then.
EXPIRES_SECONDS = 120

# A leg that is done twice counts once. Whoever is done when all are sends the body, so that it is sent even though
# a worker ended just before it could; that it is sent twice then harms nobody, as every step may run twice.
ARRIVE = """
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return redis.call('SCARD', KEYS[1]) == tonumber(redis.call('GET', KEYS[2]))
"""


class Joins(RedisBackend):
    """Counts in one round trip for each leg what Celery's own counts, collects and claims in up to seven."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arrive = self.client.register_script(ARRIVE)

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Called before a task is sent: nobody will ask for its result, so nothing is subscribed to."""

    def add_pending_result(self, result: Any, *_: Any, **__: Any) -> Any:
        """Return the result as it is: nobody waits for it."""
        return result

    def remove_pending_result(self, result: Any) -> Any:
        """Return the result as it is: it was never waited for."""
        return result

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Note how many legs there are; raises what the client raises."""
        self.client.set(self._size_key(group_id), chord_size, ex=EXPIRES_SECONDS)

    def on_chord_part_return(self, request: Any, state: str, *_: Any, **__: Any) -> None:
        """Send the chord's body if this leg was the last. A leg that failed joins nothing: its orders are due again."""
        if not request.group or state in states.PROPAGATE_STATES:
            return
        keys = [self.get_key_for_group(request.group, ".j"), self._size_key(request.group)]
        if self._arrive(keys=keys, args=[request.id, EXPIRES_SECONDS]):
            body: Any = maybe_signature(request.chord, app=current_app)
            body.delay([])

    def _size_key(self, group_id: str) -> Any:
        return self.get_key_for_group(group_id, ".s")
