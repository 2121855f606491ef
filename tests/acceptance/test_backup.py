"""A backup, restored on another server: as the manual has it, with the programs of PostgreSQL itself."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from launcher.engines import free_port, running
from launcher.engines.postgres import Postgres, _package
from notifications import journal_reader
from orders import journal
from orders.models import Order
from tests.factories import make_order, make_product, make_shipping

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

ROOT = Path(__file__).parent.parent.parent
PROGRAMS = _package() / "pginstall" / "bin"


def url_of_the_tests_database() -> str:
    facts = connection.settings_dict
    return f"postgres://{facts['USER']}:{facts['PASSWORD']}@{facts['HOST']}:{facts['PORT']}/{facts['NAME']}"


def manage(*arguments: str, database: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def new_server(tmp_path):
    tmp_path.chmod(0o711)
    postgres = Postgres(
        folder=tmp_path / "postgres", port=free_port(), password=secrets.token_urlsafe(12), durable=False
    )
    with running(postgres):
        postgres.create_database()
        yield postgres


def test_a_backup_is_restored_on_another_server_and_its_readers_go_on(providers, drain, tmp_path, new_server):
    make_shipping()
    product = make_product(units=10)
    for _ in range(3):
        make_order((product, 1))
    drain()
    while journal_reader.record_page():
        pass
    dump = tmp_path / "orders.dump"
    subprocess.run(
        [PROGRAMS / "pg_dump", "-Fc", "-d", url_of_the_tests_database(), "-f", dump], check=True, timeout=60
    )
    restore = [
        PROGRAMS / "pg_restore",
        "--no-owner",
        "--no-comments",
        "--exit-on-error",
        "-d",
        new_server.url,
        dump,
    ]
    subprocess.run(restore, check=True, timeout=60)

    done = manage("restored", database=new_server.url)

    assert done.returncode == 0, done.stderr
    assert manage("restored", "--check", database=new_server.url).returncode == 0
    audit = manage("audit", database=new_server.url)
    assert audit.returncode == 0, audit.stdout
    with psycopg.connect(new_server.url) as there:
        assert there.execute("SELECT count(*) FROM orders_order").fetchone() == (Order.objects.count(),)
        (horizon,) = there.execute(journal.OLDEST_RUNNING).fetchone() or (0,)
        (last,) = there.execute("SELECT max(transaction_id) FROM orders_orderevent").fetchone() or (0,)
        (place,) = there.execute("SELECT transaction_id FROM notifications_journalcursor").fetchone() or (0,)
        assert last < horizon
        assert place <= horizon
