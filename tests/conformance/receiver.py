"""A server that keeps the webhooks it is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.waiting import until


class Receiver:
    """Webhooks by their bodies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.webhooks: list[tuple[dict[str, str], bytes]] = []

    def about(self, reference: str, at_least: int) -> list[tuple[dict[str, str], bytes]]:
        """Wait for webhooks that name a reference; return them."""

        def found() -> list[tuple[dict[str, str], bytes]]:
            return [webhook for webhook in [*self.webhooks] if reference.encode() in webhook[1]]

        until(lambda: len(found()) >= at_least)
        return found()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.webhooks.append((dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received = Receiver(f"http://127.0.0.1:{server.server_address[1]}/")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
