"""The proxy lets go of a silent connection before the server behind it does; else a request can meet a closed one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("folder", [ROOT, ROOT / "cluster"], ids=["one node", "cluster"])
def test_the_proxy_closes_a_silent_connection_before_the_servers_do(folder: Path) -> None:
    caddyfile, procfile = (folder / "Caddyfile").read_text(), (folder / "Procfile").read_text()
    proxy = [int(seconds) for seconds in re.findall(r"\bkeepalive (\d+)s", caddyfile)]
    web = int(re.findall(r"--http1-header-read-timeout (\d+)", procfile)[0]) / 1000
    live = int(re.findall(r"--timeout-keep-alive (\d+)", procfile)[0])
    assert len(proxy) == caddyfile.count("transport http {")
    assert max(proxy) * 2 <= min(web, live)
