"""One account that takes all it can get, and what an honest one sees meanwhile, at a real web process."""

import contextlib
import http.client
import json
import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection

from inventory.models import Product
from limits.models import AccountLimit
from orders.models import Order
from tests.factories import make_order, make_user
from tests.security.conftest import shop, token_of  # noqa: F401 - a fixture
from tests.security.web_process import WebProcess
from tests.waiting import until

PATIENCE_SECONDS = 30.0
CONNECTIONS = 32
A_LOT = 20_000_000
ORDER = {"customerName": "Honest", "items": [{"productId": 1, "quantity": 1}]}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def web(django_db_setup, django_db_blocker) -> Iterator[WebProcess]:
    """A web process without rates, so that only its shares and places protect it; and with little patience."""
    with django_db_blocker.unblock():
        process = WebProcess(
            THROTTLE_READS="off",
            THROTTLE_WRITES="off",
            BULK_SLOW_SECONDS="3",
            BULK_MIN_BYTES_PER_SECOND="2000",
            BULK_UNREAD_MEGABYTES="1",
        ).start()
    yield process
    process.stop()


@pytest.fixture
def attacker(shop) -> User:  # noqa: F811
    return make_user()


@pytest.fixture
def honest(shop) -> User:  # noqa: F811
    return make_user()


class Upload:
    """A chunked bulk request whose body is sent by hand."""

    def __init__(self, web: WebProcess, user: User) -> None:
        self._socket = socket.create_connection(("127.0.0.1", web.port), timeout=PATIENCE_SECONDS)
        head = {"Host": "localhost", "Transfer-Encoding": "chunked", **NDJSON, **token_of(user)}
        lines = ["POST /api/orders/bulk HTTP/1.1", *[f"{name}: {value}" for name, value in head.items()]]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self._socket.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def send_until_not_read(self, data: bytes) -> int:
        """Send the same again and again without reading, until no more is taken or it is a lot. Return the bytes."""
        self._socket.settimeout(3)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < A_LOT:
                self.send(data)
                sent += len(data)
        return sent

    def answer(self) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(self._socket)
        response.begin()
        return response

    def close(self) -> None:
        self._socket.close()


def bulk(web: WebProcess, user: User) -> requests.Response:
    body = json.dumps(ORDER)
    return requests.post(
        f"{web.url}/api/orders/bulk", body, headers=NDJSON | token_of(user), timeout=PATIENCE_SECONDS
    )


def export(web: WebProcess, user: User) -> requests.Response:
    return requests.get(f"{web.url}/api/orders/export", headers=token_of(user), timeout=PATIENCE_SECONDS)


def test_uploads_that_dribble_close_neither_bulk_nor_export_to_others(web, attacker, honest):
    finance = make_user(is_staff=True)
    dribbling = [Upload(web, attacker) for _ in range(2)]
    for upload in dribbling:
        upload.send(b"{")
    assert {upload.answer().status for upload in dribbling} == {200}

    refused = bulk(web, attacker)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests_at_once")
    assert json.loads(bulk(web, honest).content)["orderId"]
    assert export(web, honest).status_code == 200
    assert export(web, finance).status_code == 200
    for upload in dribbling:
        upload.close()


def test_uploads_that_dribble_end_with_a_line_that_says_so(web, attacker, honest):
    upload = Upload(web, attacker)
    upload.send(b"{")
    answer = upload.answer()
    line = json.loads(answer.readline())
    assert (line["line"], line["error"]["code"]) == (1, "too_slow")
    assert json.loads(bulk(web, honest).content)["orderId"]
    upload.close()
    until(lambda: [bulk(web, attacker).status_code for _ in range(2)] == [200, 200])


def test_a_client_that_does_not_read_its_answers_is_not_read_either(web, attacker, honest):
    upload = Upload(web, attacker)
    # Some 60 bytes of answer for each two of a line: without a limit, all of this would be taken.
    assert upload.send_until_not_read(b"1\n" * 30_000) < A_LOT
    assert json.loads(bulk(web, honest).content)["orderId"]
    upload.close()
    until(lambda: [bulk(web, attacker).status_code for _ in range(2)] == [200, 200])


class Hog:
    """Many connections of one account that ask for the same as fast as they are answered."""

    def __init__(self, web: WebProcess, user: User, path: str) -> None:
        self.answers = Counter[str]()
        self._web, self._path, self._headers = web, path, token_of(user)
        self._over, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CONNECTIONS)]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._web.port, timeout=PATIENCE_SECONDS)
        while not self._over.is_set():
            connection.request("GET", self._path, headers=self._headers)
            response = connection.getresponse()
            body = response.read()
            code = "" if response.status == 200 else json.loads(body)["error"]["code"]
            with self._lock:
                self.answers[code] += 1
        connection.close()

    def __enter__(self) -> "Hog":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("path", ["/api/board", "/api/orders?pageSize=200"])
def test_orders_are_placed_before_the_lists_that_one_account_asks_for(web, attacker, honest, path):
    for _ in range(100):
        make_order((Product.objects.get(pk=1), 1), owner=attacker)
    connection.close()
    with Hog(web, attacker, path) as hog:
        until(lambda: hog.answers["too_many_requests_at_once"] and hog.answers[""])
        before, placed = hog.answers[""], []
        for _ in range(20):
            answer = requests.post(
                f"{web.url}/api/orders", json=ORDER, headers=token_of(honest), timeout=PATIENCE_SECONDS
            )
            placed.append(answer.status_code)
        # In the order of their arrival each would have had nearly all connections' lists before it.
        lists_meanwhile = hog.answers[""] - before
        reading = requests.get(f"{web.url}/api/orders/1", headers=token_of(honest), timeout=PATIENCE_SECONDS)
    assert placed == [201] * 20
    assert lists_meanwhile < 20 * CONNECTIONS / 4
    assert reading.status_code in (200, 404), reading.text


def test_an_account_that_an_operator_has_blocked_is_refused_and_others_are_not(web, attacker, honest):
    def post(user: User) -> requests.Response:
        return requests.post(
            f"{web.url}/api/orders", json=ORDER, headers=token_of(user), timeout=PATIENCE_SECONDS
        )

    assert post(attacker).status_code == 201
    AccountLimit.objects.create(user=attacker, writes="0", reason="stolen cards")
    until(lambda: post(attacker).status_code != 201)
    refused = post(attacker)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "account_blocked")
    assert post(honest).status_code == 201
    assert Order.objects.filter(owner=honest).count() == 1
