"""A sandbox as a child process, for tests, benchmarks and chaos."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 15.0


class SandboxProcess:
    """A sandbox whose ledger and port survive restarts."""

    def __init__(
        self,
        *,
        data: Path,
        catalogue: Path | None = None,
        port: int = 0,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.data = data
        self.catalogue = catalogue
        self.port = port or free_port()
        self._more = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "SandboxProcess":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "--until-stdin-closes"],
            cwd=ROOT,
            env=os.environ | self._environment(),
            stdin=subprocess.PIPE,
        )
        self._wait_until_it_answers()
        return self

    def stop(self) -> None:
        self._end("terminate")

    def kill(self) -> None:
        self._end("kill")

    # Control

    def set_faults(self, provider: str, **script: Any) -> None:
        self.call("PUT", f"/faults/{provider}", script)

    def clear_faults(self) -> None:
        self.call("DELETE", "/faults")

    def expire(self, authorization: str) -> None:
        """Have an authorization expire, by the provider's id."""
        self.call("POST", f"/payments/control/{authorization}", {"to": "expired"})

    def tries(self, provider: str, key: str = "") -> int:
        """Return tries of the key, or all, since the script was set."""
        found = self.call("GET", f"/faults/{provider}/tries?limit=10000&key={key}")
        return sum(row["count"] for row in found["items"])

    def ledger(self) -> dict[str, dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/payments/ledger", timeout=60) as lines:  # noqa: S310 # nosec B310
            return {line["reference"]: line for line in map(json.loads, lines)}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the sandbox. Raises `urllib.error.HTTPError` for a refusal."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 # nosec B310
            text = response.read()
        return json.loads(text) if text else None

    # Internals

    def _environment(self) -> dict[str, str]:
        named = {"SANDBOX_HOST": "127.0.0.1", "SANDBOX_PORT": str(self.port), "SANDBOX_DATA": str(self.data)}
        return named | self._more | ({"SANDBOX_CATALOGUE": str(self.catalogue)} if self.catalogue else {})

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError("The sandbox ended while starting; its message is above.")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"The sandbox did not answer within {START_SECONDS:.0f} s.")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self.call("GET", "/health")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def _end(self, how: str) -> None:
        if self._process is None:
            return
        getattr(self._process, how)()
        self._process.wait(timeout=10)
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
