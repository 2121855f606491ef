"""Clients that dribble, or say nothing, or do not read: they are given up, and meanwhile others are served.

The limits of the `Caddyfile` are seconds here instead of minutes.
"""

import contextlib
import http.client
import socket
from collections.abc import Iterator, Sequence

import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection
from websockets.sync.client import connect

from inventory.models import Product
from tests.config.proxy import Proxy
from tests.config.test_caddyfile import live
from tests.factories import make_order, make_user
from tests.security.conftest import token_of
from tests.waiting import until

CLIENTS = 12
PATIENCE_SECONDS = 60.0
GIVEN_UP = b"HTTP/1.1 499"  # Caddy's answer to a client that it waits for no longer
FORM = (
    b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken=%b\r\nContent-Length: 1000000\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'
) % (b"a" * 32) + b"a" * 350_000
# Some 12 MB of export: more than sockets keep on the way.
MANY_ORDERS = """
    INSERT INTO orders_order SELECT (copy).* FROM (
        SELECT jsonb_populate_record(o, jsonb_build_object('id', o.id + n, 'uuid', gen_random_uuid(),
                                     'customer_name', repeat('a', 100), 'email', repeat('b', 100))) AS copy
        FROM orders_order o, generate_series(1, 20000) n) copies;
    INSERT INTO orders_journey SELECT (copy).* FROM (
        SELECT jsonb_populate_record(j, jsonb_build_object('order_id', j.order_id + n,
                                     'reason', repeat('c', 200), 'attention', repeat('d', 200))) AS copy
        FROM orders_journey j, generate_series(1, 20000) n) copies
"""


@pytest.fixture(scope="module")
def proxy(webs) -> Iterator[Proxy]:
    """Caddy in front of a web process, and less patient than usual."""
    limits = {"PROXY_HEAD_TIMEOUT": "1s", "PROXY_REQUEST_TIMEOUT": "2s", "PROXY_ANSWER_TIMEOUT": "5s"}
    with Proxy(limits, web_port=webs[0].port, PROXY_IDLE_TIMEOUT="1s") as it:
        yield it


class SlowClient:
    """A connection that says something to begin with, then a byte whenever it is asked whether it still stands."""

    def __init__(self, port: int, beginning: bytes, then: bytes = b"") -> None:
        self._then = then
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(beginning)

    def is_given_up(self) -> bool:
        """Whether the other side has closed, or answered that it waits no longer."""
        with contextlib.suppress(BlockingIOError):
            try:
                self._socket.send(self._then)
                return self._socket.recv(100, socket.MSG_DONTWAIT)[:12] in (b"", GIVEN_UP)
            except ConnectionError:
                return True
        return False

    def answer(self) -> http.client.HTTPResponse:
        """Return the answer."""
        self._socket.settimeout(PATIENCE_SECONDS)
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        return response

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def slow_clients(port: int, beginning: bytes, then: bytes = b"") -> Iterator[list[SlowClient]]:
    clients = [SlowClient(port, beginning, then) for _ in range(CLIENTS)]
    yield clients
    for client in clients:
        client.close()


def until_given_up(clients: Sequence[SlowClient], proxy: Proxy) -> None:
    """Wait for that, while other clients are served."""
    waiting = list(clients)

    def is_nobody_waited_for() -> bool:
        assert proxy.ask("/api")[0] == 200
        waiting[:] = [client for client in waiting if not client.is_given_up()]
        return not waiting

    until(is_nobody_waited_for, seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("beginning", "then"),
    [
        pytest.param(b"", b"", id="nothing at all"),
        pytest.param(b"GET /api HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a", id="head"),
        pytest.param(
            b"GET /ws/orders HTTP/1.1\r\nUpgrade: websocket\r\nX-Slow: ", b"a", id="head of a socket"
        ),
        pytest.param(
            b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n", b"a", id="body"
        ),
        pytest.param(
            b"POST /api/orders HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\na\r\n",
            id="body without end",
        ),
        pytest.param(b"GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", id="no second request"),
    ],
)
def test_who_dribbles_is_given_up_while_others_are_served(proxy, db, beginning, then):
    with slow_clients(proxy.port, beginning, then) as clients:
        until_given_up(clients, proxy)


def test_a_form_that_is_too_large_is_refused_before_it_is_read_and_without_the_proxy_too(webs, proxy, db):
    for port in (webs[0].port, proxy.port):
        with slow_clients(port, FORM) as clients:
            assert requests.get(f"{webs[0].url}/api", timeout=PATIENCE_SECONDS).status_code == 200
            assert {client.answer().status for client in clients} == {413}


@pytest.fixture
def staff(shop) -> User:
    """A user with a long export."""
    make_order((Product.objects.get(pk=1), 1))
    with connection.cursor() as cursor:
        cursor.execute(MANY_ORDERS)
    return make_user(is_staff=True)


def test_who_does_not_read_keeps_a_place_for_a_while_and_a_socket_as_long_as_it_likes(proxy, staff):
    token = token_of(staff)
    export = f"GET /api/orders/export HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token['Authorization']}\r\n\r\n"
    with live(proxy.live_port), connect(f"ws://127.0.0.1:{proxy.port}/ws/orders") as quiet:
        with slow_clients(proxy.port, export.encode()) as clients:
            assert sorted(client.answer().status for client in clients) == [200] * 2 + [429] * (CLIENTS - 2)
            assert not can_export(proxy, token)
            assert can_export(proxy, token_of(make_user(is_staff=True)))
            until(lambda: can_export(proxy, token), seconds=PATIENCE_SECONDS)
        quiet.send("still here")
        assert str(quiet.recv()).endswith("still here")


def can_export(proxy: Proxy, token: dict[str, str]) -> bool:
    """Whether there is a place for one more; others are served all the while."""
    assert proxy.ask("/api")[0] == 200
    answer = requests.get(
        f"http://127.0.0.1:{proxy.port}/api/orders/export?status=completed",
        headers=token,
        timeout=PATIENCE_SECONDS,
    )
    return answer.status_code == 200
