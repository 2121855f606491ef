"""The load generator, against a server that answers as it pleases."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.load import Job, Tally


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((dict(self.headers), body))  # type: ignore[attr-defined]
        if self.headers["Content-Type"] == "application/x-ndjson":
            self._answer_in_chunks([b'{"line":1,"orderId":1}\n'] * len(body.splitlines()))
        else:
            self.send_response(201)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    def _answer_in_chunks(self, pieces: list[bytes]) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None: ...


@contextmanager
def shop() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        server.seen = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def done(server: Any, **job: Any) -> Tally:
    wanted = Job(server.server_port, "/api/orders", ["a-token", "b-token"], 0.3, **job)
    out = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(asdict(wanted)),
        capture_output=True,
        text=True,
        check=True,
    )
    return Tally(**json.loads(out.stdout))


def test_it_counts_what_was_accepted_and_how_long_each_took():
    with shop() as server:
        tally = done(server, connections=2)
        assert tally.orders == tally.statuses["201"] == len(tally.milliseconds) == len(server.seen) > 0
        assert tally.cpu_seconds > 0


def test_each_order_has_a_key_of_its_own_and_the_customers_take_turns():
    with shop() as server:
        done(server, connections=2)
        keys = [headers["Idempotency-Key"] for headers, _ in server.seen]
        assert len(set(keys)) == len(keys)
        assert {headers["Authorization"] for headers, _ in server.seen} == {"Token a-token", "Token b-token"}
        assert all(len(json.loads(body)["items"]) == 2 for _, body in server.seen)


def test_at_a_rate_it_never_sends_more_than_the_rate_says():
    with shop() as server:
        tally = done(server, connections=4, rate=50.0)
        assert 0 < tally.orders <= 15
        assert tally.orders <= 1 + 50.0 * tally.seconds  # nor all of them at the start


def test_it_counts_the_lines_of_a_bulk_answer():
    with shop() as server:
        tally = done(server, connections=1, lines=7, content_type="application/x-ndjson")
        assert tally.orders == 7 * len(server.seen) > 0


def test_it_says_so_when_nobody_answers():
    with shop() as server:
        pass
    assert done(server).error
