"""Other people's proxies in front of ours: a Caddy that speaks TLS, with a certificate made on the spot, or plain."""

import http.client
import json
import os
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from launcher.child import start_child, stop_child
from launcher.engines import free_port, is_free
from tests.waiting import until

PATIENCE_SECONDS = 20.0
CONFIGURATION = """
{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	servers {
		trusted_proxies static %(trusts)s
	}
}
%(scheme)s://localhost:%(port)d {
	bind 127.0.0.1
	%(tls)s
	reverse_proxy 127.0.0.1:%(upstream)d
}
"""


class FrontProxy:
    """Passes on to `upstream`, with X-Forwarded-*. Appends to those of `trusts`, drops anybody else's."""

    def __init__(self, upstream: int, *, tls: bool = True, trusts: str = "") -> None:
        self.port, self.tls = free_port(), tls
        self._folder = tempfile.TemporaryDirectory()
        self._facts = {
            "port": self.port,
            "upstream": upstream,
            "trusts": trusts,
            "scheme": "https" if tls else "http",
            "tls": "tls internal" if tls else "",
        }

    def __enter__(self) -> Self:
        place = Path(self._folder.name)
        (place / "Caddyfile").write_text(CONFIGURATION % self._facts)
        folders = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"), self._folder.name)
        with (place / "log").open("wb") as log:
            self._process = start_child(
                [str(Path(sys.executable).parent / "caddy"), "run", "--config", str(place / "Caddyfile")],
                death_signal=signal.SIGKILL,
                env=os.environ | folders,
                cwd=place,
                output=log.fileno(),
            )
        until(lambda: not is_free(self.port) or self._process.poll() is not None, seconds=PATIENCE_SECONDS)
        if self.tls:
            until(self._shakes_hands, seconds=PATIENCE_SECONDS)
        assert self._process.poll() is None, (place / "log").read_text()
        return self

    def __exit__(self, *_: object) -> None:
        stop_child(self._process, stop_signal=signal.SIGTERM, timeout=10)
        self._folder.cleanup()

    def _shakes_hands(self) -> bool:
        """Whether it has its certificate, which comes a moment after it listens."""
        if not self.root.exists():
            return False
        try:
            with socket.create_connection(("localhost", self.port), PATIENCE_SECONDS) as plain:
                assert self.trust
                self.trust.wrap_socket(plain, server_hostname="localhost").close()
        except ssl.SSLError:
            return False
        return True

    @property
    def certificate(self) -> tuple[Path, Path]:
        """Its certificate for localhost, and the key: for a test that serves something else than HTTP."""
        place = self.root.parents[3] / "certificates" / "local" / "localhost"
        return place / "localhost.crt", place / "localhost.key"

    @property
    def root(self) -> Path:
        """The certificate that signed it."""
        return Path(self._folder.name) / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    @property
    def trust(self) -> ssl.SSLContext | None:
        """What a client needs to believe the certificate."""
        return ssl.create_default_context(cafile=str(self.root)) if self.tls else None


def ask(
    port: int,
    path: str,
    *,
    trust: ssl.SSLContext | None = None,
    source: str = "127.0.0.1",
    method: str = "GET",
    body: bytes | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], Any]:
    """Return status, headers and JSON of an answer to a client at the loopback address `source`."""
    place = (source, 0)
    connection: http.client.HTTPConnection
    if trust:
        connection = http.client.HTTPSConnection(
            "localhost", port, timeout=PATIENCE_SECONDS, context=trust, source_address=place
        )
    else:
        connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=PATIENCE_SECONDS, source_address=place
        )
        headers.setdefault("Host", f"localhost:{port}")
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    is_json = "json" in answer.headers.get("Content-Type", "") or text.startswith(b"{")
    return answer.status, dict(answer.headers), json.loads(text) if is_json else text
