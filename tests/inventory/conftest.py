"""The warehouse that the inventory sync asks, and people who may ask the API."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from rest_framework.test import APIClient

from inventory import listing_cache
from providers.breaker import breaker
from sandbox.process import SandboxProcess
from tests.factories import make_user


class Warehouse:
    """The sandbox's warehouse with articles of the test's own, and none at first."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.sandbox = sandbox

    def received(self, **articles: int) -> None:
        """Have it say how many units it received of each SKU (with _ for -)."""
        for sku, units in articles.items():
            self.sandbox.call("PUT", f"/inventory/stock/{sku.replace('_', '-')}", {"received": units})


@pytest.fixture
def warehouse(tmp_path: Path, settings) -> Iterator[Warehouse]:
    catalogue = tmp_path / "none.csv"
    catalogue.write_text("sku,stock\n")
    process = SandboxProcess(data=tmp_path / "sandbox", catalogue=catalogue).start()
    use_as_warehouse(settings, f"{process.url}/inventory")
    yield Warehouse(process)
    process.stop()


@pytest.fixture
def strange_warehouse(settings) -> Iterator[Callable[..., None]]:
    """A warehouse that answers whatever the test says: one answer for each SKU that a page is asked after."""
    answers: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            after = parse_qs(urlsplit(self.path).query).get("after", [""])[0]
            body = json.dumps(answers[after]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    use_as_warehouse(settings, f"http://127.0.0.1:{server.server_port}")
    yield answers.update
    server.shutdown()
    server.server_close()
    thread.join()


def use_as_warehouse(settings: Any, url: str) -> None:
    settings.PROVIDERS = settings.PROVIDERS | {"inventory": url}
    settings.EXTERNAL_TIMEOUT_SECONDS = 1.0
    breaker("inventory").reset()


@pytest.fixture
def fresh_cache() -> None:
    listing_cache.expect_valkey()
    cache.clear()


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def customer(db, fresh_cache) -> APIClient:
    return client_of(User.objects.create_user("cora"))


@pytest.fixture
def staff(db, fresh_cache) -> APIClient:
    """A user with all view permissions."""
    user = make_user("stan", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_stockchange"))
    return client_of(user)


@pytest.fixture
def keeper(db, fresh_cache) -> APIClient:
    """A user of the warehouse, who may correct stock."""
    user = make_user("kim", is_staff=True)
    codes = ["change_stockitem", "view_product", "view_stockchange"]
    user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    return client_of(user)
