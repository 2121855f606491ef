"""A worker goes on fetching messages, after the broker did not answer for a while and after nonsense."""

import json
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection, Queue
from kombu.asynchronous import Hub
from redis.exceptions import RedisError

from launcher.engines import free_port, start_engine, stop_engine
from launcher.engines.valkey import Valkey


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[tuple[Valkey, "subprocess.Popen[bytes]"]]:
    engine = Valkey(folder=tmp_path / "valkey", port=free_port(), password=secrets.token_hex(8))
    process = start_engine(engine)
    yield engine, process
    process.send_signal(signal.SIGCONT)
    stop_engine(engine, process)


def test_a_message_that_cannot_be_given_back_keeps_no_place(
    valkey: tuple[Valkey, "subprocess.Popen[bytes]"],
) -> None:
    engine, process = valkey
    fail_fast_client = {"socket_timeout": 0.2, "socket_connect_timeout": 0.2}
    with Connection(f"{engine.url}/0", transport_options=fail_fast_client) as connection:
        channel: Any = connection.default_channel
        channel.basic_qos(0, 1, False)
        connection.Producer(channel).publish({}, routing_key="q", declare=[Queue("q")])
        message = Queue("q")(channel).get(no_ack=False)
        assert message is not None
        assert not channel.qos.can_consume()
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(RedisError):
            message.requeue()
        process.send_signal(signal.SIGCONT)
        assert channel.qos.can_consume()


def test_an_idle_worker_does_not_wake_each_second_for_queues_that_expire(
    valkey: tuple[Valkey, "subprocess.Popen[bytes]"],
) -> None:
    engine, _ = valkey
    with Connection(f"{engine.url}/0") as connection:
        connection.connect()
        hub = Hub()
        connection.register_with_event_loop(hub)
        seconds_apart = sorted(
            scheduled.eta - time.monotonic() for scheduled in hub.timer._queue if not scheduled.entry.canceled
        )
        assert seconds_apart
        assert seconds_apart[0] > 5


def test_what_a_worker_has_in_hand_goes_back_to_its_queue_when_it_stops(
    valkey: tuple[Valkey, "subprocess.Popen[bytes]"],
) -> None:
    engine, _ = valkey
    with Connection(f"{engine.url}/0") as connection:
        channel: Any = connection.default_channel
        connection.Producer(channel).publish({}, routing_key="q", declare=[Queue("q")])
        assert Queue("q")(channel).get(no_ack=False) is not None
    with redis.Redis.from_url(f"{engine.url}/0") as client:
        assert client.llen("q") == 1
        assert not client.exists("unacked", "unacked_index")


NO_BASE64 = {
    "body": "\u00a7\u00a7\u00a7 not base64",
    "properties": {"body_encoding": "base64", "delivery_tag": "1"},
}


@pytest.mark.parametrize("nonsense", ["this is no JSON", "{}", "[]", "null", json.dumps(NO_BASE64)])
def test_what_cannot_be_read_is_thrown_away_and_what_comes_after_it_is_not(
    valkey: tuple[Valkey, "subprocess.Popen[bytes]"], nonsense: str
) -> None:
    engine, _ = valkey
    heard: list[object] = []

    def hear(body: object, message: Any) -> None:
        heard.append(body)
        message.ack()

    with Connection(f"{engine.url}/0") as connection, redis.Redis.from_url(f"{engine.url}/0") as client:
        queue = Queue("q")
        client.lpush("q", nonsense)
        connection.Producer(connection.default_channel).publish({"good": 1}, routing_key="q", declare=[queue])
        with connection.Consumer(queue, callbacks=[hear]):
            while not heard:
                connection.drain_events(timeout=10)
        assert heard == [{"good": 1}]
        assert client.llen("q") == 0


def test_what_goes_wrong_with_a_message_that_could_be_read_is_not_hidden(
    valkey: tuple[Valkey, "subprocess.Popen[bytes]"],
) -> None:
    def stumble(_body: object, _message: object) -> None:
        raise ValueError("not the message's fault")

    engine, _ = valkey
    with Connection(f"{engine.url}/0") as connection:
        queue = Queue("q")
        connection.Producer(connection.default_channel).publish({}, routing_key="q", declare=[queue])
        with connection.Consumer(queue, callbacks=[stumble]), pytest.raises(ValueError, match="not the mess"):
            connection.drain_events(timeout=10)
