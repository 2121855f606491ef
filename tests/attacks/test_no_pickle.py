"""An attacker with write access to Valkey stores pickles where processes read: no code runs, and readers go on."""

import asyncio
import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings as django_settings
from django.core.cache import cache
from kombu.exceptions import ContentDisallowed
from rest_framework.test import APIClient

from config.celery import app
from inventory import listing_cache
from inventory.listing_cache import GENERATION, forget_listings
from live import tickets
from providers import health
from providers.breaker import breaker
from runtime import heartbeats
from tests.factories import make_product, make_user
from tests.waiting import until


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The file that a pickle which runs leaves behind."""
    return tmp_path / "it ran"


@pytest.fixture
def bomb(trace: Path):
    yield pickle.dumps(Bomb(trace))
    assert not trace.exists(), "a pickle was read"


@pytest.fixture
def valkey():
    with redis.Redis.from_url(django_settings.CACHE_URL) as client:
        yield client


def test_the_bomb_would_go_off(bomb, trace):
    pickle.loads(bomb)  # noqa: S301 - that it does is the point
    assert trace.exists()
    trace.unlink()


@pytest.mark.django_db(transaction=True)
def test_the_catalogue_is_listed_whatever_lies_in_its_cache(bomb, valkey):
    listing_cache.expect_valkey()
    forget_listings()
    make_product("Lamp")
    client = APIClient()
    client.force_authenticate(make_user())
    names = {cache.make_key(GENERATION)} | {key.decode() for key in valkey.keys("cache:*")}
    for name in names:
        valkey.set(name, bomb)

    for _ in range(2):
        (product,) = client.get("/api/inventory").json()["results"]
        assert product["name"] == "Lamp"
    assert cache.get(GENERATION) is not None


def test_what_is_no_json_is_missing_from_the_cache(bomb, valkey):
    valkey.set(cache.make_key("a-key"), bomb)
    assert cache.get("a-key") is None
    cache.set("a-key", {"a": [1, "b"]})
    assert cache.get("a-key") == {"a": [1, "b"]}


@pytest.mark.django_db
def test_a_ticket_that_is_a_pickle_lets_nobody_in(bomb, valkey):
    """Tickets are in PostgreSQL; what lies in Valkey under their former keys is not read."""
    for content in (bomb, b"[]", b'["token"]', b'{"kind": 1}', b'[1, {"a": 2}]', b"[" * 10_000):
        valkey.set("ticket:made-up", content)
        assert tickets.redeem("made-up") is None


def test_breakers_and_health_go_on_whatever_lies_in_the_shared_state(bomb, valkey, settings):
    name = next(iter(settings.PROVIDERS))
    report = {name: bomb, "email": b"[1]", "inventory": b'{"provider": "inventory"}'}
    valkey.delete(health.REPORTS)
    valkey.hset(health.REPORTS, mapping=report)
    for field in ("state", "failures", "opened_at", "retry_at"):
        valkey.hset(f"breaker:{{{name}}}", field, bomb)
    valkey.hset(f"breaker:{{{name}}}:window", bomb, bomb)
    watch = breaker(name)
    try:
        assert health.last_reports() == {}
        watch.state()
        admission = watch.admit()
        watch.record(admission, ok=False)
        valkey.delete(*watch._keys)
        for key in watch._keys:
            valkey.set(key, bomb)  # of another type, too
        watch.state()
        assert watch.admit().allowed
    finally:
        watch.reset()
        valkey.delete(health.REPORTS)


def test_processes_are_found_beside_pickles(bomb, valkey):
    (seconds, _) = valkey.time()
    valkey.zadd(heartbeats.KEY, {bomb: seconds, "worker|here|1": seconds})
    valkey.hset(f"{heartbeats.KEY}:facts", "worker|here|1", bomb)
    try:
        heartbeats.present()
    finally:
        valkey.delete(heartbeats.KEY, f"{heartbeats.KEY}:facts")


def test_hints_of_the_channel_layer_are_read_as_messages_without_code(bomb):
    layer: Any = get_channel_layer()

    async def publish_and_receive() -> None:
        channel = await layer.new_channel()
        with redis.Redis.from_url(django_settings.CHANNEL_LAYER_URL) as client:
            await asyncio.to_thread(until, lambda: client.publish(channel, bomb))
        with pytest.raises(ValueError):  # noqa: PT011 - msgpack has many kinds of it
            await layer.receive(channel)

    async_to_sync(publish_and_receive)()


def test_celery_takes_no_pickles():
    assert set(app.conf.accept_content) == {"json"}
    assert set(app.conf.result_accept_content) == {"json"}
    assert (app.conf.task_serializer, app.conf.result_serializer) == ("json", "json")


@pytest.mark.parametrize("encoding", ["base64", "utf-8"])
def test_a_message_that_is_a_pickle_is_not_decoded(bomb, encoding):
    body = base64.b64encode(bomb).decode() if encoding == "base64" else bomb.decode("latin-1")
    with app.connection_for_read() as connection:
        channel: Any = connection.channel()
        envelope = {
            "body": body,
            "content-type": "application/x-python-serialize",
            "content-encoding": "binary",
            "headers": {"task": "orders.tick", "id": "1"},
            "properties": {"body_encoding": encoding, "delivery_tag": "1", "delivery_info": {}},
        }
        message = channel.message_to_python(json.loads(json.dumps(envelope)))
        message.accept = set(app.conf.accept_content)
        with pytest.raises(ContentDisallowed):
            message.decode()


def test_a_result_that_is_a_pickle_is_not_decoded(bomb):
    backend: Any = app.backend
    backend.client.set(backend.get_key_for_task("made-up"), bomb)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is, it is no result
        backend.get_task_meta("made-up", cache=False)


def test_sessions_and_settings_name_no_pickle():
    options: Any = django_settings.CACHES["default"]["OPTIONS"]
    assert django_settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"
    assert options["serializer"] == "database.serializer.JsonSerializer"
