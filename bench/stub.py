"""A payment provider that takes its time and costs next to nothing: in C where there is a compiler."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import NamedTuple

from bench.rig import Rig
from launcher.engines import free_port

SOURCE = Path(__file__).with_name("provider.c")
GROUP = "provider"

TLS = """{{
	admin off
	auto_https disable_redirects
	skip_install_trust
	default_sni 127.0.0.1
	storage file_system {storage}
}}
https://127.0.0.1:{outside} {{
	tls internal
	reverse_proxy 127.0.0.1:{inside} {{
		transport http {{
			keepalive_idle_conns_per_host 4096
		}}
	}}
}}
"""


class Manner(NamedTuple):
    """How a provider answers: one call in `slow_one_in` takes `slow_ms` instead. 0: none.

    `at_once`: calls that come while others wait are answered together with the first of them. The sandbox
    cannot do that.
    """

    latency_ms: int
    slow_one_in: int = 0
    slow_ms: int = 0
    tls: bool = False
    at_once: bool = False


def start(rig: Rig, manner: Manner) -> dict[str, str]:
    """Start it; return what tells a contestant to use it."""
    port = free_port()
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler:
        program = rig.folder / "provider"
        subprocess.run([compiler, "-O2", "-o", str(program), str(SOURCE)], check=True, capture_output=True)
        numbers = (port, manner.latency_ms, manner.slow_one_in, manner.slow_ms, int(manner.at_once))
        rig.start(GROUP, [str(program), *map(str, numbers)])
    else:
        _start_sandbox(rig, manner, port)
    rig.wait_for(f"http://127.0.0.1:{port}/payments/health")
    if manner.tls:
        return _behind_tls(rig, port)
    return {"PAYMENT_GATEWAY": "http", "PAYMENT_API_URL": f"http://127.0.0.1:{port}/payments"}


def _start_sandbox(rig: Rig, manner: Manner, port: int) -> None:
    """Start the sandbox instead: Python, so its CPU takes room from those it serves."""
    shutil.rmtree(rig.folder / "sandbox", ignore_errors=True)
    rig.start(GROUP, [sys.executable, "-m", "sandbox"], SANDBOX_PORT=str(port))
    url = f"http://127.0.0.1:{port}"
    rig.wait_for(f"{url}/payments/health")
    slow = {"timeoutAfterRate": 1 / manner.slow_one_in, "timeoutSeconds": manner.slow_ms / 1000}
    script = {"latencyMs": manner.latency_ms} | (slow if manner.slow_one_in else {})
    request = urllib.request.Request(f"{url}/faults/payments", json.dumps(script).encode(), method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310
        pass


def _behind_tls(rig: Rig, inside: int) -> dict[str, str]:
    outside, storage = free_port(), rig.folder / "tls"
    config = rig.folder / "Caddyfile"
    config.write_text(TLS.format(storage=storage, outside=outside, inside=inside))
    caddy = str(Path(sys.executable).parent / "caddy")
    rig.start(GROUP, [caddy, "run", "--config", str(config), "--adapter", "caddyfile"], HOME=str(rig.folder))
    root = storage / "pki" / "authorities" / "local" / "root.crt"
    rig.until(lambda: root.exists() and _speaks_tls(root, outside), "the provider's certificate")
    return {
        "PAYMENT_GATEWAY": "http",
        "PAYMENT_API_URL": f"https://127.0.0.1:{outside}/payments",
        "REQUESTS_CA_BUNDLE": str(root),
    }


def _speaks_tls(root: Path, port: int) -> bool:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import requests, sys; requests.get(sys.argv[1], timeout=3)",
            f"https://127.0.0.1:{port}/payments/health",
        ],
        env=os.environ | {"REQUESTS_CA_BUNDLE": str(root)},
        capture_output=True,
        check=False,
    )
    return found.returncode == 0
