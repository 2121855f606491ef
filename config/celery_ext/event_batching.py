"""A worker's consumer that tells of its tasks in bundles."""

from typing import Any

from celery.worker import consumer

# How long news of tasks may wait for more: Flower, who hears them, is looked at by people.
NEWS_SECONDS = 0.5


class Consumer(consumer.Consumer):
    """Celery's tells after each task three times, and each time lets the next task wait for the broker's answer."""

    hub: Any
    _will_tell = False

    def on_send_event_buffered(self) -> None:  # type: ignore[override] # the stubs say something else
        """Called when there is news."""
        if self.hub and not self._will_tell:
            self._will_tell = True
            self.hub.call_later(NEWS_SECONDS, self._flush_events)

    def _flush_events(self) -> None:
        self._will_tell = False
        super()._flush_events()  # type: ignore[misc] # the stubs leave it out
