"""Flower where strangers can reach it: a login on every page, headers, and a limit on wrong passwords."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest
import requests

from config.flower_guard import SECONDS_EACH, WRONG_PASSWORDS, WrongPasswords
from launcher.child import start_child, stop_child
from launcher.engines import free_port, is_free
from launcher.procfile import PROCFILE
from tests.waiting import until

LOGIN = ("admin", "right")
PAGES = ["/", "/tasks", "/broker", "/api/workers", "/metrics"]


@pytest.fixture(scope="module")
def flower() -> Iterator[str]:
    """The address of a running Flower."""
    port = free_port()
    options = ["--conf=config/flowerconfig.py", f"--port={port}", "--address=127.0.0.1", "--logging=warning"]
    process = start_child(
        [sys.executable, "-m", "celery", "-A", "config", "flower", *options],
        death_signal=signal.SIGKILL,
        env=os.environ | {"FLOWER_BASIC_AUTH": ":".join(LOGIN)},
        cwd=PROCFILE.parent,
    )
    until(lambda: not is_free(port) or process.poll() is not None, seconds=60)
    assert process.poll() is None
    yield f"http://127.0.0.1:{port}"
    stop_child(process, stop_signal=signal.SIGTERM, timeout=10)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_wants_the_login_and_says_what_browsers_may_do(flower, page):
    refused, given = (
        requests.get(flower + page, timeout=20),
        requests.get(flower + page, auth=LOGIN, timeout=20),
    )

    assert (refused.status_code, given.status_code) == (401, 200)
    for answer in (refused, given):
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]


def test_its_health_check_needs_none(flower):
    assert requests.get(f"{flower}/healthcheck", timeout=20).status_code == 200


def test_wrong_passwords_are_limited(flower):
    wrong = [requests.get(flower, auth=("admin", str(n)), timeout=20).status_code for n in range(12)]
    # The right one as well: otherwise one could go on trying.
    right = requests.get(flower, auth=LOGIN, timeout=20).status_code

    assert wrong == [401] * WRONG_PASSWORDS + [429] * 2
    assert right == 429


def test_an_address_may_try_again_later_and_others_all_the_while():
    now = [0.0]
    wrong = WrongPasswords(clock=lambda: now[0])
    for _ in range(WRONG_PASSWORDS):
        assert wrong.wait("a") == 0
        wrong.add("a")
    assert (wrong.wait("a"), wrong.wait("b")) == (SECONDS_EACH, 0)
    now[0] += SECONDS_EACH
    assert wrong.wait("a") == 0
