"""A worker's task events: in batches, and only while anybody listens, such as Flower.

Defects of Celery 5.7:
1. It flushes buffered events three times per task; each round trip delays the next task.
2. It sends them without a subscriber, too, several for each task.
Test: tests/config/test_event_batching.py.
Remove: when Celery has a setting for the flush interval, and sends no task events without a subscriber.
"""

from time import monotonic
from typing import Any

from celery.events import dispatcher
from celery.worker import consumer

# only Flower reads the events, for display
NEWS_SECONDS = 0.5
# Longer than a subscriber takes to start, so that it misses nothing of a system that starts with it.
PATIENCE_SECONDS = 10.0


class Dispatcher(dispatcher.EventDispatcher):
    """Leaves task events out once no event has reached a subscriber for a while; heartbeats tell of a new one."""

    exchange: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        self._listened_at = monotonic()
        super().__init__(*args, **options)

    def send(self, type: str, **fields: Any) -> None:  # type: ignore[override] # noqa: A002 - Celery's name
        if not type.startswith("task-") or monotonic() - self._listened_at <= PATIENCE_SECONDS:
            super().send(type, **fields)

    def _publish(self, event: Any, producer: Any, routing_key: str, **options: Any) -> None:
        super()._publish(event, producer, routing_key, **options)  # type: ignore[misc] # the stubs leave it out
        if producer is not None and producer.channel.listeners.get(self.exchange.name):
            self._listened_at = monotonic()


class Consumer(consumer.Consumer):
    """Flushes task events at most twice per second."""

    hub: Any
    _flush_pending = False

    def on_send_event_buffered(self) -> None:  # type: ignore[override] # the stubs say something else
        if self.hub and not self._flush_pending:
            self._flush_pending = True
            self.hub.call_later(NEWS_SECONDS, self._flush_events)

    def _flush_events(self) -> None:
        self._flush_pending = False
        super()._flush_events()  # type: ignore[misc] # the stubs leave it out
