"""The deadline of a whole exchange: whatever a peer does with its bytes, the call ends, and others notice nothing."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from django.utils import timezone

from providers import health
from providers.breaker import breaker
from providers.deadline import Deadline, DeadlinePassed, fetch, session
from providers.errors import OutcomeUnknown, ProviderUnavailable
from providers.http import provider
from tests.fixtures.dripping import BODY, HEAD, DripServer

# A drip never ends by itself: what is over before a test's own time limit is over because of the deadline.
SOON = 0.5


@pytest.fixture(autouse=True)
def one_short_try(settings):
    settings.EXTERNAL_TIMEOUT_SECONDS, settings.EXTERNAL_RETRY_ATTEMPTS = SOON, 1
    breaker("payments").reset()
    yield
    breaker("payments").reset()


@pytest.fixture(params=["head", "body"])
def drip(request, settings) -> Iterator[DripServer]:
    server = DripServer(beginning=BODY if request.param == "body" else HEAD)
    settings.PROVIDERS = dict.fromkeys(settings.PROVIDERS, server.url)
    yield server
    server.stop()


def test_a_provider_that_drips_leaves_a_call_for_money_in_doubt(drip):
    with pytest.raises(OutcomeUnknown, match="in time"):
        provider("payments").post("/captures", {}, key="a key")


def test_a_provider_that_drips_is_not_well(drip):
    with pytest.raises(ProviderUnavailable, match="in time"):
        provider("payments").check("/health")


def test_a_ledger_that_drips_is_given_up(drip, settings):
    settings.LEDGER_TIMEOUT_SECONDS = SOON

    with pytest.raises(ProviderUnavailable):
        list(provider("payments").lines("/ledger"))


def test_an_answer_without_a_length_that_is_cut_is_no_whole_answer(settings):
    """Its end looks like the end of the connection."""
    server = socket.create_server(("127.0.0.1", 0))
    settings.PROVIDERS = {"payments": f"http://127.0.0.1:{server.getsockname()[1]}"}

    def answer_and_wait() -> None:
        connection, _ = server.accept()
        connection.recv(65536)
        connection.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"items": []}')
        connection.recv(1)  # until we hang up

    thread = threading.Thread(target=answer_and_wait, daemon=True)
    thread.start()
    with pytest.raises(ProviderUnavailable, match="in time"):
        provider("payments").get("/operations")
    thread.join()
    server.close()


def test_one_that_reads_nothing_is_cut_off_in_the_middle_of_what_we_send():
    server = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.getsockname()[1]}"

    with pytest.raises((DeadlinePassed, requests.RequestException)):
        fetch("POST", url, seconds=SOON, data=b"x" * 100_000_000)
    server.close()


def test_a_connection_that_is_used_again_keeps_to_the_deadline_of_the_new_call():
    server = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{server.getsockname()[1]}"

    def answer_once_then_drip() -> None:
        connection, _ = server.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.recv(65536)
        while True:
            try:
                connection.sendall(b"H")
            except OSError:
                return
            time.sleep(0.05)

    threading.Thread(target=answer_once_then_drip, daemon=True).start()
    with session(pool=1) as calls:
        with Deadline(30) as first, first.sockets():
            assert calls.get(url, timeout=30).text == "ok"
        with pytest.raises(DeadlinePassed), Deadline(SOON) as second, second.sockets():
            calls.get(url, timeout=30)
    assert not first.has_passed
    server.close()


def test_a_handshake_that_drips_is_cut_off(drip_handshake):
    with pytest.raises(DeadlinePassed):
        fetch("GET", drip_handshake.url.replace("http:", "https:"), seconds=SOON, verify=False)


def test_an_answer_that_drips_inside_tls_is_cut_off(tmp_path, tls_certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_certificate)
    server = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = server.accept()
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(65536)
            try:
                while True:
                    secured.sendall(b"H")
                    time.sleep(0.05)
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    url = f"https://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(DeadlinePassed):
        fetch("GET", url, seconds=SOON * 2, verify=str(tls_certificate))
    server.close()


def test_a_proxy_that_drips_is_cut_off(drip_head):
    with pytest.raises((DeadlinePassed, requests.RequestException)):
        fetch("GET", "https://shop.example/", seconds=SOON, proxies={"https": drip_head.url})


def test_many_calls_at_once_end_each_in_its_time(drip_head):
    def call(_: int) -> bool:
        try:
            fetch("GET", drip_head.url, seconds=SOON)
        except (DeadlinePassed, requests.RequestException):
            return True
        return False

    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(call, range(20)))
    with drip_head.change:
        assert drip_head.change.wait_for(lambda: not drip_head.open, timeout=30)


def test_the_health_of_others_is_seen_while_one_provider_drips(drip, sandbox_url, settings, now):
    settings.PROVIDERS = settings.PROVIDERS | {"email": f"{sandbox_url}/email"}

    reports = {report.provider: report for report in health.check_all(now)}

    assert reports["email"].ok
    assert not reports["payments"].ok


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture(scope="module")
def tls_certificate(tmp_path_factory) -> Path:
    """A certificate of 127.0.0.1 with its key, that it signed itself."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path
