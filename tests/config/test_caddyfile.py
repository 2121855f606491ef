"""The proxy in front: a real Caddy with the project's Caddyfile, before two servers that say who they are."""

import contextlib
import http.client
import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from tests.config.proxy import PATIENCE_SECONDS, Proxy


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what arrived."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.dumps(
            {"path": self.path, "headers": dict(self.headers), "read": len(self.rfile.read(length))}
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_GET  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def web(port: int) -> Iterator[None]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def answer(socket: ServerConnection) -> None:
    assert socket.request
    for message in socket:
        socket.send(f"live {socket.request.path} {message!s}")


@contextlib.contextmanager
def live(port: int) -> Iterator[None]:
    with serve(answer, "127.0.0.1", port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as it:
        yield it


def test_http_goes_to_web(proxy):
    with web(proxy.web_port):
        assert proxy.ask("/api/orders?a=1")[1]["path"] == "/api/orders?a=1"


@pytest.mark.parametrize("path", ["/ws/orders", "/ws/orders/1?after=3", "/orderHub", "/orderHub?id=1"])
def test_web_sockets_go_to_live(proxy, path):
    with live(proxy.live_port), connect(f"ws://127.0.0.1:{proxy.port}{path}") as socket:
        socket.send("hello")
        assert socket.recv() == f"live {path} hello"


def test_a_hubs_negotiation_goes_to_live_as_well(proxy):
    with web(proxy.live_port):
        assert proxy.ask("/orderHub/negotiate", method="POST")[1]["path"] == "/orderHub/negotiate"


def test_a_client_cannot_invent_its_address(proxy):
    with web(proxy.web_port):
        _, seen = proxy.ask("/", X_Forwarded_For="6.6.6.6", X_Forwarded_Proto="https")
    assert seen["headers"]["X-Forwarded-For"] == "127.0.0.1"
    assert seen["headers"]["X-Forwarded-Proto"] == "http"


def test_the_host_that_the_client_asked_for_is_kept(proxy):
    with web(proxy.web_port):
        assert proxy.ask("/", Host="shop.example")[1]["headers"]["Host"] == "shop.example"


def test_without_web_the_answer_is_503_with_the_apis_shape(proxy):
    status, answer = proxy.ask("/api/orders")
    assert (status, answer["retry"], answer["error"]["code"]) == (503, "2", "unavailable")


def test_a_request_during_a_restart_of_web_waits_for_it(proxy):
    answers: list[int] = []
    asking = threading.Thread(
        target=lambda: answers.append(proxy.ask("/", method="POST", body=b"x" * 100)[0])
    )
    asking.start()
    with web(proxy.web_port):
        asking.join()
    assert answers == [200]


@pytest.mark.parametrize("path", ["/api/orders", "/orderHub/negotiate"])
def test_a_body_beyond_the_limit_is_refused(proxy, path):
    with web(proxy.web_port), web(proxy.live_port):
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            connection.putrequest("POST", path)
            connection.putheader("Content-Length", str(10**6))
            connection.endheaders(b"x" * 100_000)
            answer = connection.getresponse()
            assert (answer.status, json.load(answer)["error"]["code"]) == (413, "body_too_large")


def test_its_log_lets_nobody_in_and_holds_no_card_number():
    with Proxy(PROXY_LOG_LEVEL="DEBUG") as proxy, web(proxy.web_port), web(proxy.live_port):
        digits = ("/ws/orders/4111%201111-1111+1111", "/api/orders/4111111111111111")
        for path in (*digits, "/password/reset/MQ/c8-abracadabra"):
            proxy.ask(
                f"{path}/somewhere?ticket=sesame&a=5500005555555559", Idempotency_Key="3782822463-10005"
            )
        told = proxy.log()
    assert told.count("upstream roundtrip") == 3
    assert '"uri": "/ws/orders/[digits]/somewhere?..."' in told
    assert not any(secret in told for secret in ("sesame", "abracadabra", "1111", "5555", "10005"))
