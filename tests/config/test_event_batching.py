"""A worker sends what Flower shows in bundles while anybody listens, and leaves nothing unsent."""

import pytest
import redis
from django.conf import settings
from kombu.asynchronous import Hub

from config.celery import app
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


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(event_batching, "monotonic", clock)
    return clock


@pytest.fixture
def dispatcher(clock):
    with app.connection_for_write() as connection, app.events.Dispatcher(connection) as dispatcher:
        yield dispatcher


@pytest.fixture
def events():
    """What a subscriber such as Flower gets, once it has subscribed."""
    with redis.Redis.from_url(settings.BROKER_URL) as client, client.pubsub() as subscriber:
        yield subscriber


def subscribe(events) -> None:
    events.psubscribe("*celeryev*")
    assert events.get_message(timeout=10)["type"] == "psubscribe"


def received(events) -> str:
    message = events.get_message(timeout=10)
    assert message, "no event came"
    return message["channel"].decode().rsplit("/", 1)[1]


def test_task_events_are_sent_only_while_anybody_listens(clock, dispatcher, events):
    dispatcher.send("task-received", uuid="0")  # a subscriber may be about to start
    clock.now += 11
    dispatcher.send("worker-heartbeat")
    subscribe(events)
    dispatcher.send("task-received", uuid="1")  # the worker does not know of it yet
    dispatcher.send("worker-heartbeat")
    dispatcher.send("task-received", uuid="2")
    assert [received(events), received(events)] == ["worker.heartbeat", "task.received"]

    events.punsubscribe()
    assert events.get_message(timeout=10)["type"] == "punsubscribe"
    dispatcher.send("task-received", uuid="3")  # it may come back
    clock.now += 11
    dispatcher.send("worker-heartbeat")
    subscribe(events)
    dispatcher.send("task-received", uuid="4")
    dispatcher.send("worker-heartbeat")
    assert received(events) == "worker.heartbeat"
