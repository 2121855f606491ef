"""A Patroni that has lost touch with the others for good is started again; any other one is left alone."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cluster.watch import POLL_SECONDS, SILENT_SECONDS, PatroniWatch


class FakePatroni:
    """Says when it last heard the others."""

    last_seen: float | None = 0.5
    status = 200

    def __init__(self) -> None:
        patroni = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"dcs_last_seen": patroni.last_seen}).encode()
                self.send_response(patroni.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def patroni() -> Iterator[FakePatroni]:
    fake = FakePatroni()
    yield fake
    fake.server.shutdown()


def restarts_within(seconds: float, url: str) -> int:
    now, restarts = [0.0], []
    watch = PatroniWatch(url, lambda: restarts.append(now[0]), clock=lambda: now[0])
    while now[0] < seconds:
        now[0] += POLL_SECONDS
        watch()
    return len(restarts)


@pytest.mark.parametrize("status", [200, 503])
def test_one_that_has_heard_nobody_for_long_is_started_again(patroni: FakePatroni, status: int) -> None:
    patroni.status = status
    assert restarts_within(SILENT_SECONDS, patroni.url) == 0
    assert restarts_within(SILENT_SECONDS + POLL_SECONDS, patroni.url) == 1


def test_it_is_given_time_after_that(patroni: FakePatroni) -> None:
    assert restarts_within(2 * SILENT_SECONDS, patroni.url) == 1


def test_one_that_hears_the_others_is_left_alone(patroni: FakePatroni) -> None:
    patroni.last_seen = 1000.0
    assert restarts_within(100, patroni.url) == 0


def test_one_that_does_not_answer_yet_is_left_alone(patroni: FakePatroni) -> None:
    patroni.server.shutdown()
    patroni.server.server_close()
    assert restarts_within(100, patroni.url) == 0
