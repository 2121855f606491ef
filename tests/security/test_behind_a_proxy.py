"""Behind proxies that speak TLS: who asks, and how, is told by those of TRUSTED_PROXIES alone."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.config.proxy import Proxy
from tests.config.test_caddyfile import web as echo
from tests.factories import make_user
from tests.notifications.conftest import cookie_of
from tests.notifications.live_server import ROOT, LiveServer
from tests.security.tls_proxy import FrontProxy, ask
from tests.security.web_process import WebProcess

PROXIES = "127.0.0.1/32"
CLIENT, OTHER = "127.0.0.9", "127.0.0.8"


@contextlib.contextmanager
def in_front_of(port: int, *, deep: int, trusts: str = "") -> Iterator[FrontProxy]:
    """One proxy with TLS, or one and a plain one behind it that believes it; they ask from 127.0.0.1."""
    with contextlib.ExitStack() as stack:
        if deep == 2:
            port = stack.enter_context(FrontProxy(port, tls=False, trusts=PROXIES)).port
        yield stack.enter_context(FrontProxy(port, trusts=trusts))


@pytest.fixture
def ours() -> Iterator[Proxy]:
    """Our own proxy, which knows the others, before a server that says what it was told."""
    with Proxy(TRUSTED_PROXIES=PROXIES) as proxy, echo(proxy.web_port):
        yield proxy


def seen(headers: dict[str, str]) -> tuple[str, str]:
    return headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]


@pytest.mark.parametrize("deep", [1, 2])
def test_the_clients_own_address_and_scheme_get_through(ours, deep):
    with in_front_of(ours.port, deep=deep) as front:
        _, _, told = ask(front.port, "/", trust=front.trust, source=CLIENT)

    assert seen(told["headers"]) == (CLIENT, "https")


@pytest.mark.parametrize("deep", [1, 2])
def test_an_address_that_a_client_invents_before_a_proxy_that_appends_is_not_its_own(ours, deep):
    with in_front_of(ours.port, deep=deep, trusts="127.0.0.0/8") as front:
        _, _, told = ask(
            front.port, "/", trust=front.trust, source=CLIENT, X_Forwarded_For="6.6.6.6, 7.7.7.7"
        )

    assert seen(told["headers"])[0] == CLIENT


def test_who_is_no_proxy_is_believed_nothing(ours):
    _, _, told = ask(ours.port, "/", source=CLIENT, X_Forwarded_For="6.6.6.6", X_Forwarded_Proto="https")

    assert seen(told["headers"]) == (CLIENT, "http")


def test_without_trusted_proxies_nobody_is_believed():
    with Proxy(TRUSTED_PROXIES="") as proxy, echo(proxy.web_port):
        _, _, told = ask(proxy.port, "/", X_Forwarded_For="6.6.6.6", X_Forwarded_Proto="https")

    assert seen(told["headers"]) == ("127.0.0.1", "http")


# --- The real processes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def static_files(tmp_path_factory) -> str:
    """A data folder with the static files of a deployment: pages link to them."""
    folder = str(tmp_path_factory.mktemp("data"))
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(collect, check=True, cwd=ROOT, env=os.environ | {"DATA_DIR": folder})
    return folder


@pytest.fixture(scope="module")
def shop(django_db_setup: None, django_db_blocker, static_files) -> Iterator[Proxy]:
    """web and live with HTTPS=1 behind our proxy, which knows the proxies in front."""
    facts = {
        "HTTPS": "1",
        "THROTTLE_LOGINS": "2/minute",
        "TRUSTED_PROXIES": PROXIES,
        "DATA_DIR": static_files,
    }
    with django_db_blocker.unblock():
        live, web = LiveServer(HTTPS="1").start(), WebProcess(**facts).start()
    with Proxy(web_port=web.port, live_port=live.port, TRUSTED_PROXIES=PROXIES) as proxy:
        yield proxy
    web.stop()
    live.stop()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("deep", [1, 2])
def test_https_serves_pages_with_secure_cookies_and_without_redirects(shop, deep):
    with in_front_of(shop.port, deep=deep) as front:
        status, headers, _ = ask(front.port, "/admin/login/", trust=front.trust, source=CLIENT)

    assert status == 200
    assert headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "; Secure" in headers["Set-Cookie"]


def test_who_comes_without_tls_is_sent_to_https_whatever_it_claims(shop):
    for scheme in ("http", "https"):
        status, headers, _ = ask(
            shop.port, "/api", source=CLIENT, X_Forwarded_Proto=scheme, Forwarded=f"proto={scheme}"
        )
        assert (status, headers["Location"]) == (301, f"https://localhost:{shop.port}/api")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("deep", "client", "other"), [(1, "127.0.0.11", "127.0.0.12"), (2, "127.0.0.13", "127.0.0.14")]
)
def test_logins_are_limited_for_each_clients_address(shop, deep, client, other):
    def log_in(front: FrontProxy, source: str, claimed: str = "") -> int:
        body = json.dumps({"username": "nobody", "password": "wrong"}).encode()
        return ask(
            front.port,
            "/api/token",
            trust=front.trust,
            source=source,
            method="POST",
            body=body,
            Content_Type="application/json",
            X_Forwarded_For=claimed,
        )[0]

    with in_front_of(shop.port, deep=deep) as front:
        first = [log_in(front, client, claimed=f"6.6.6.{n}") for n in range(3)]
        elsewhere = log_in(front, other)

    assert (first, elsewhere) == ([401, 401, 429], 401)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("deep", [1, 2])
def test_a_page_over_tls_opens_a_socket_over_tls(shop, deep):
    cookie = cookie_of(make_user())
    with (
        in_front_of(shop.port, deep=deep) as front,
        connect(
            f"wss://localhost:{front.port}/ws/orders",
            ssl=front.trust,
            origin=Origin(f"https://localhost:{front.port}"),
            additional_headers={"Cookie": cookie},
            proxy=None,
        ) as socket,
    ):
        assert json.loads(socket.recv(timeout=20))["type"] == "Ready"


@pytest.mark.django_db(transaction=True)
def test_a_socket_without_tls_is_not_taken_for_one_with_it(shop):
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(
            f"ws://127.0.0.1:{shop.port}/ws/orders",
            source_address=(CLIENT, 0),
            origin=Origin(f"https://127.0.0.1:{shop.port}"),
            additional_headers={"Cookie": cookie_of(make_user()), "X-Forwarded-Proto": "https"},
            proxy=None,
        ),
    ):
        pass
    assert refused.value.response.status_code == 403
