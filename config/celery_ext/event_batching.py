"""A worker's consumer that sends task events in batches.

Defect: Celery flushes buffered events three times per task; each round trip delays the next task.
Test: tests/config/test_event_batching.py.
Remove: when Celery has a setting for the flush interval (5.7 has none).
"""

from typing import Any

from celery.worker import consumer

# only Flower reads the events, for display
NEWS_SECONDS = 0.5


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
