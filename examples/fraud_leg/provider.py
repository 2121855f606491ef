"""A screening provider to try the leg with: `python examples/fraud_leg/provider.py 8090`.

The verdict follows from the order's e-mail address: refuse@…, review@…; all others pass.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Screening(BaseHTTPRequestHandler):
    """Answers POST /screenings with a verdict and a score."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({"status": "ok"})

    def do_POST(self) -> None:
        case = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        word = str(case["email"]).partition("@")[0]
        verdict = word if word in ("refuse", "review") else "pass"
        self._answer({"verdict": verdict, "score": {"pass": 3, "review": 55, "refuse": 97}[verdict]})

    def _answer(self, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write no log."""


def server(port: int = 0) -> ThreadingHTTPServer:
    """Return a server on a port of this machine; 0: any."""
    return ThreadingHTTPServer(("127.0.0.1", port), Screening)


if __name__ == "__main__":
    server(int(sys.argv[1]) if len(sys.argv) > 1 else 8090).serve_forever()
