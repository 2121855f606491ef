"""Engines of one's own: Valkey over TLS, PostgreSQL behind a pooler that refuses start-up options."""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from config.celery import app
from runtime import heartbeats
from tests.config.wires import in_between, like_a_pooler, with_tls
from tests.security.tls_proxy import FrontProxy
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


def run(script: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a script after Django's setup, on the tests' database unless `environment` names another."""
    setup = "import django; django.setup(); from django.db import connection as c;"
    return subprocess.run(
        [sys.executable, "-c", f"{setup} {script}"],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database()} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def database(port: int | None = None) -> str:
    parts = urlsplit(os.environ["DATABASE_URL"])
    place = parts.netloc if port is None else f"{parts.netloc.rpartition(':')[0]}:{port}"
    return parts._replace(netloc=place, path=f"/{connection.settings_dict['NAME']}").geturl()


# --- PostgreSQL -------------------------------------------------------------------------------------------

SHOWS = (
    "names = ('statement_timeout', 'jit', 'lock_timeout');"
    " [print(c.cursor().execute('SHOW ' + name).fetchone()[0]) for name in names]"
)


@pytest.mark.parametrize("pooler", ["1", "0"])
def test_each_connection_has_its_limits_with_and_without_a_pooler(pooler):
    assert run(SHOWS, DATABASE_POOLER=pooler).stdout.split() == ["5s", "off", "3s"]


def test_behind_a_pooler_connections_bring_no_start_up_options():
    with in_between(connection.settings_dict["PORT"], like_a_pooler) as port:
        refused = run(SHOWS, DATABASE_URL=database(port))
        taken = run(SHOWS, DATABASE_URL=database(port), DATABASE_POOLER="1")

    assert "unsupported startup parameter: options" in refused.stderr
    assert taken.stdout.split() == ["5s", "off", "3s"], taken.stderr


# --- Valkey over TLS --------------------------------------------------------------------------------------


@pytest.fixture
def over_tls() -> Iterator[str]:
    """The REDIS_URL of the tests' Valkey behind TLS, with a certificate that is checked."""
    plain = urlsplit(settings.REDIS_URL)
    with FrontProxy(1) as front:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*front.certificate)
        assert plain.port
        with in_between(plain.port, with_tls(context)) as port:
            login = plain.netloc.rpartition("@")[0]
            yield f"rediss://{login}@localhost:{port}?ssl_ca_certs={front.root}"


def test_cache_and_broker_are_reached_over_tls(over_tls):
    write = "from django.core.cache import cache; cache.set('tls', 1); print(cache.get('tls')); "
    done = run(
        f"{write} from config.celery import app; print(app.connection().ensure_connection(max_retries=1) is not None)",
        REDIS_URL=over_tls,
    )

    assert done.stdout.split() == ["1", "True"], done.stderr


def test_a_worker_does_its_tasks_over_tls(over_tls):
    command = ["-m", "celery", "-A", "config", "worker", "-Q", "shipping", "-n", "shipping@tls", "-c", "1"]
    worker = subprocess.Popen(
        [sys.executable, *command, "--without-gossip", "--without-mingle"],
        process_group=0,
        env=os.environ | {"REDIS_URL": over_tls, "DATABASE_URL": database()},
        cwd=ROOT,
    )
    try:
        app.send_task("shipping.quote_shipping", kwargs={"batch_id": 0}, queue="shipping")
        until(lambda: _facts().get("processed", 0) >= 1 and _facts()["active"] == 0, seconds=60)
        assert _facts()["failedInARow"] == 0
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def _facts() -> dict:
    found = (dict(p.facts) for p in heartbeats.present() if p.name == "worker:shipping@tls" and p.is_alive)
    return next(found, {})
