"""A worker sends what Flower shows in bundles, and leaves nothing unsent."""

import pytest
from kombu.asynchronous import Hub

from config.celery_ext import event_batching


class Dispatcher:
    """Counts flushes, as Celery's event dispatcher is asked for them."""

    flushes = 0

    def flush(self, **_: object) -> None:
        self.flushes += 1


@pytest.fixture
def consumer(monkeypatch):
    monkeypatch.setattr(event_batching, "NEWS_SECONDS", 0)
    consumer = event_batching.Consumer.__new__(event_batching.Consumer)  # without a broker
    vars(consumer).update(hub=Hub(), event_dispatcher=Dispatcher())
    return consumer


def test_buffered_events_are_flushed_once_for_all_of_them(consumer):
    for _ in range(3):
        consumer.on_send_event_buffered()
    assert consumer.event_dispatcher.flushes == 0

    consumer.hub.fire_timers()

    assert consumer.event_dispatcher.flushes == 1


def test_events_that_come_after_a_flush_are_flushed_too(consumer):
    consumer.on_send_event_buffered()
    consumer.hub.fire_timers()
    consumer.on_send_event_buffered()
    consumer.hub.fire_timers()

    assert consumer.event_dispatcher.flushes == 2
