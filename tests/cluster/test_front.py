"""The balancer before the nodes: what it sends to another node, and what it never sends twice."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from launcher.child import start_child, stop_child
from launcher.engines import free_port
from tests.waiting import until

BASE = Path(__file__).parent.parent.parent


@dataclass
class FakeNode:
    """A web process that says what it is told to."""

    status: int = 200
    breaks: bool = False  # it takes a request, and dies over it
    has_outage: bool = False  # its answers come of a database without a leader
    heard: list[str] = field(default_factory=list)

    def serve(self) -> ThreadingHTTPServer:
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._answer()

            def _answer(self) -> None:
                if self.path.startswith("/health"):
                    self._say(200)
                    return
                node.heard.append(f"{self.command} {self.path}")
                if node.breaks:
                    self.connection.close()
                    return
                self._say(node.status)

            def _say(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "2")
                if node.has_outage and not self.path.startswith("/health"):
                    self.send_header("X-Outage", "1")
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


@dataclass
class Front:
    port: int
    node_ports: list[int]
    nodes: list[FakeNode]

    def ask(
        self, path: str, *, method: str = "GET", port: int = 0, headers: dict[str, str] | None = None
    ) -> requests.Response:
        data = b"{}" if method == "POST" else None
        url = f"http://127.0.0.1:{port or self.port}{path}"
        return requests.request(method, url, data=data, headers=headers, timeout=20)

    @property
    def heard(self) -> list[str]:
        return [line for node in self.nodes for line in node.heard]


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    nodes = [FakeNode() for _ in range(3)]
    servers = [node.serve() for node in nodes]
    ports = [free_port() for _ in range(4)]
    variables = {"PORT": str(ports[0]), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    for number, server in enumerate(servers, start=1):
        place = f"127.0.0.1:{server.server_port}"
        variables |= {f"WEB_{number}": place, f"LIVE_{number}": place, f"PORT_{number}": str(ports[number])}
    process = start_child(
        [
            str(Path(sys.executable).with_name("caddy")),
            *("run", "--config", "cluster/Caddyfile", "--adapter", "caddyfile"),
        ],
        death_signal=signal.SIGKILL,
        env=os.environ | variables,
        cwd=BASE,
    )
    front = Front(ports[0], ports[1:], nodes)
    try:
        until(lambda: _answers(front))
        for node in nodes:
            node.heard.clear()
        yield front
    finally:
        stop_child(process, stop_signal=signal.SIGTERM, timeout=5)
        for server in servers:
            server.shutdown()


def _answers(front: Front) -> bool:
    try:
        return front.ask("/api").status_code == 200
    except OSError:
        return False


def test_it_goes_round_the_nodes_and_says_which(front: Front) -> None:
    served = {front.ask("/api").headers["X-Node"] for _ in range(6)}
    assert len(served) == 3
    assert [len(node.heard) for node in front.nodes] == [2, 2, 2]


def test_a_post_with_a_key_whose_node_dies_over_it_goes_to_another(front: Front) -> None:
    front.nodes[0].breaks = True
    for _ in range(3):
        assert front.ask("/api/orders", method="POST", headers={"Idempotency-Key": "k"}).status_code == 200
    assert front.nodes[0].heard


def test_a_post_without_a_key_is_sent_once(front: Front) -> None:
    for node in front.nodes:
        node.breaks = True
    answer = front.ask("/api/orders", method="POST")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert front.heard == ["POST /api/orders"]


def test_a_post_with_a_key_that_found_no_leader_goes_to_another_node(front: Front) -> None:
    for node in front.nodes[:2]:
        node.status, node.has_outage = 503, True
    for _ in range(3):
        answer = front.ask("/api/orders", method="POST", headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200
    assert front.nodes[0].heard or front.nodes[1].heard
    front.nodes[2].status, front.nodes[2].has_outage = 503, True
    answer = front.ask("/api/orders", method="POST")
    assert (answer.status_code, "X-Outage" in answer.headers) == (503, False)


def test_bulk_intake_is_never_sent_twice(front: Front) -> None:
    for node in front.nodes:
        node.breaks = True
    assert front.ask("/api/orders/bulk", method="POST", headers={"Idempotency-Key": "k"}).status_code == 503
    assert front.heard == ["POST /api/orders/bulk"]


@pytest.mark.parametrize("status", [201, 400, 404, 503])
@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("POST", {"Idempotency-Key": "k"})])
def test_an_answer_is_an_answer_and_asked_for_once(
    front: Front, status: int, method: str, headers: dict[str, str]
) -> None:
    for node in front.nodes:
        node.status = status
    assert front.ask("/api/orders", method=method, headers=headers).status_code == status
    assert len(front.heard) == 1


def test_each_node_has_an_address_of_its_own(front: Front) -> None:
    for port in front.node_ports:
        front.ask("/api", port=port)
    assert [len(node.heard) for node in front.nodes] == [1, 1, 1]
