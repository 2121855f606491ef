"""A real Caddy with the project's Caddyfile."""

import contextlib
import http.client
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from launcher.child import start_child, stop_child
from launcher.engines import free_port, is_free
from launcher.procfile import PROCFILE
from tests.waiting import until

PATIENCE_SECONDS = 20.0


class Proxy:
    """The address of a running Caddy, the ports that it looks for the others on, and what it writes to its log."""

    def __init__(
        self,
        limits: Mapping[str, str] | None = None,
        *,
        web_port: int = 0,
        live_port: int = 0,
        **environment: str,
    ) -> None:
        self.port, self.web_port, self.live_port = (
            free_port(),
            web_port or free_port(),
            live_port or free_port(),
        )
        self._environment = {**(limits or {}), **environment}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this does

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        folders = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME"), self._folder.name)
        ports = {"PORT": self.port, "WEB_PORT": self.web_port, "LIVE_PORT": self.live_port}
        caddy = str(Path(sys.executable).parent / "caddy")
        self._process = start_child(
            [caddy, "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
            death_signal=signal.SIGKILL,
            env=os.environ | folders | {name: str(port) for name, port in ports.items()} | self._environment,
            cwd=PROCFILE.parent,
            output=self._log.fileno(),
        )
        until(lambda: not is_free(self.port) or self._process.poll() is not None, seconds=PATIENCE_SECONDS)
        assert self._process.poll() is None, self.log()
        return self

    def __exit__(self, *_: object) -> None:
        stop_child(self._process, stop_signal=signal.SIGTERM, timeout=10)
        self._folder.cleanup()

    def log(self) -> str:
        """Return what it has written so far."""
        end = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), end, 0).decode(errors="replace")

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, dict]:
        """Return the status of an answer, and the JSON in it with its Retry-After."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            connection.request(
                method, path, body, headers={name.replace("_", "-"): it for name, it in headers.items()}
            )
            response = connection.getresponse()
            text = response.read()
            return response.status, {"retry": response.headers["Retry-After"], **json.loads(text or "{}")}
