"""What the live feed survives: a slow reader, no channel layer, a database that breaks off."""

import asyncio
import socket as sockets
from contextlib import suppress

import pytest
import redis
from django.db import connection
from websockets.exceptions import ConnectionClosed

from launcher.engines import free_port, start_engine, stop_engine
from launcher.engines.valkey import Valkey
from tests.notifications.conftest import token_of
from tests.notifications.factories import make_quiet_order, make_quiet_orders, something_happens
from tests.notifications.live_server import APPLICATION_NAME, close_of, next_message, next_messages
from tests.notifications.threads import in_thread
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_slow_reader_is_closed_with_4408_and_nobody_else_notices(start_live, staff):
    live = await in_thread(start_live, LIVE_QUEUE_LIMIT="400")
    orders = await in_thread(make_quiet_orders, staff, 100)
    token = await in_thread(token_of, staff)
    async with (
        live.connect("/ws/orders", authorization=token) as fast,
        live.connect("/ws/orders", authorization=token, sock=_narrow_socket(live)) as slow,
    ):
        position = (await next_message(slow))["position"]
        assert (await next_message(fast))["type"] == "Ready"
        times = 150
        reading = asyncio.create_task(next_messages(fast, len(orders) * times))
        await in_thread(something_happens, *orders, times=times)
        told = await reading
        assert len({(each["orderId"], each["sequence"]) for each in told}) == len(orders) * times
        seen = await _drain(slow)
        assert slow.close_code == 4408
    position = seen[-1]["position"] if seen else position
    async with live.connect(f"/ws/orders?after={position}", authorization=token) as again:
        rest = await next_messages(again, len(told) - len(seen))
    assert [each["position"] for each in [*seen, *rest]] == [each["position"] for each in told]


async def test_without_a_channel_layer_events_arrive_all_the_same(start_live, alice):
    live = await in_thread(start_live, REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    order_id, token = await in_thread(make_quiet_order, alice), await in_thread(token_of, alice)
    async with live.connect(f"/ws/orders/{order_id}", authorization=token) as socket:
        assert (await next_message(socket))["type"] == "OrderSnapshot"
        for sequence in (2, 3):
            await in_thread(something_happens, order_id)
            assert (await next_message(socket))["sequence"] == sequence


async def test_a_channel_layer_that_dies_is_done_without_and_taken_up_again(start_live, alice, own_valkey):
    valkey, process = own_valkey.start()
    live = await in_thread(start_live, REDIS_URL=valkey.url)
    order_id, token = await in_thread(make_quiet_order, alice), await in_thread(token_of, alice)
    async with live.connect(f"/ws/orders/{order_id}", authorization=token) as socket:
        assert (await next_message(socket))["type"] == "OrderSnapshot"
        await in_thread(until, lambda: _listeners(valkey) == 1)
        process.kill()
        process.wait()
        await in_thread(something_happens, order_id)
        assert (await next_message(socket))["sequence"] == 2
        own_valkey.start()
        await in_thread(until, lambda: _listeners(valkey) == 1, seconds=40)
        await in_thread(something_happens, order_id)
        assert (await next_message(socket))["sequence"] == 3


async def test_a_database_that_breaks_off_is_caught_up_with(live, alice):
    order_id, token = await in_thread(make_quiet_order, alice), await in_thread(token_of, alice)
    async with live.connect(f"/ws/orders/{order_id}", authorization=token) as socket:
        assert (await next_message(socket))["type"] == "OrderSnapshot"
        for sequence in range(2, 5):
            await in_thread(_break_every_connection)
            await in_thread(something_happens, order_id)
            assert (await next_message(socket))["sequence"] == sequence


async def test_without_a_database_a_client_is_told_to_try_again(start_live):
    live = await in_thread(start_live, DATABASE_URL=f"postgres://u:p@127.0.0.1:{free_port()}/none")
    async with live.connect("/ws/orders", authorization="Token " + "0" * 40) as socket:
        assert (await close_of(socket))[0] == 1013


@pytest.fixture
def own_valkey(tmp_path):
    server = OwnValkey(tmp_path)
    yield server
    server.stop()


class OwnValkey:
    """A Valkey that a test may kill, always on the same port."""

    def __init__(self, folder):
        self.engine = Valkey(folder=folder / "valkey", port=free_port(), password="secret", durable=False)
        self.process = None

    def start(self):
        self.process = start_engine(self.engine)
        return self.engine, self.process

    def stop(self):
        if self.process and self.process.poll() is None:
            stop_engine(self.engine, self.process)


def _listeners(valkey):
    with redis.Redis.from_url(valkey.url) as client:
        return dict(client.pubsub_numsub("live__group__journal"))[b"live__group__journal"]


def _break_every_connection():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            [APPLICATION_NAME],
        )


def _narrow_socket(live):
    """Return a connection that takes little before it makes the sender wait."""
    narrow = sockets.socket()
    narrow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", live.port))
    return narrow


async def _drain(socket):
    """Return what was still told before the socket was closed."""
    seen = []
    with suppress(ConnectionClosed):
        while True:
            seen.append(await next_message(socket))
    return seen
