"""Canvases that are sent again from a recording, beside those that Celery sends."""

import base64
import json
import re
from typing import Any

import pytest
import redis
from celery import current_app, signature
from celery.exceptions import QueueNotFound
from django.conf import settings

from orders import batches, legs
from orders.batches import Claimed, Route
from runtime.canvases import ID, Canvases

QUEUES = ("orders", "inventory", "shipping", "payments")


@pytest.fixture
def broker():
    with redis.Redis.from_url(settings.BROKER_URL, decode_responses=True) as client:
        client.delete(*QUEUES)
        yield client
        client.delete(*QUEUES)


@pytest.fixture
def sent(broker):
    """Return, as text, the messages sent since the last call."""

    def taken() -> str:
        messages = [json.loads(text) for queue in QUEUES for text in broker.lrange(queue, 0, -1)]
        broker.delete(*QUEUES)
        for message in messages:
            message["body"] = json.loads(base64.b64decode(message["body"]))
            del message["properties"]["delivery_tag"]
        return json.dumps(messages, sort_keys=True)

    return taken


def canvas(route: Route, batch_id: int):
    return batches.canvas(Claimed(batch_id, route, [1]))


def ids_in_order(text: str) -> str:
    """Replace each id by the place where it first occurs."""
    places: dict[str, str] = {}
    return re.sub(ID, lambda found: places.setdefault(found[0], f"id {len(places)}"), text)


@pytest.mark.parametrize("route", Route)
def test_what_is_sent_again_differs_from_what_celery_sends_in_ids_alone(sent, route):
    canvases = Canvases("batch_id")
    canvases.send(route, 41, lambda: canvas(route, 41))
    sent()
    canvases.send(route, 42, lambda: pytest.fail("it is built once"))
    again = sent()
    canvas(route, 42).apply_async()
    assert ids_in_order(again.replace('"retry": false, ', "")) == ids_in_order(sent())
    assert "42" in again


@pytest.mark.parametrize("route", Route)
def test_each_sending_has_ids_of_its_own(sent, route):
    canvases = Canvases("batch_id")
    found = []
    for number in (1, 2, 3):
        canvases.send(route, number, lambda: canvas(route, 1))
        found.append(set(re.findall(ID, sent())) - {current_app.thread_oid})
    first, second, third = found
    assert second
    assert not (first & second) | (second & third)


def test_the_legs_of_each_sending_are_counted_apart(broker, sent):
    canvases = Canvases("batch_id")
    for number in (1, 2):
        canvases.send(Route.FORWARD, number, lambda: canvas(Route.FORWARD, 1))
        (group,) = set(re.findall(f'"group_id": "({ID})"', sent()))
        backend: Any = current_app.backend
        assert int(backend.client.get(backend.get_key_for_group(group, ".s"))) == len(legs.paths())


def test_a_canvas_that_could_not_be_sent_is_not_recorded(sent):
    canvases = Canvases("batch_id")
    with pytest.raises(QueueNotFound):
        canvases.send(
            Route.HANDOVER, 1, lambda: signature("orders.complete", kwargs={"batch_id": 1}, queue="nowhere")
        )
    canvases.send(Route.HANDOVER, 2, lambda: canvas(Route.HANDOVER, 2))
    assert '"batch_id": 2' in sent()
