"""The pipeline behind a real PgBouncer: in session mode, and in transaction mode where it keeps prepared statements."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.db import connection

from launcher.child import start_child, stop_child
from launcher.engines import free_port
from orders.models import Journey, OrderEvent
from tests.factories import make_product, make_shipping, make_user
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# PgBouncer keeps the prepared statements of a transaction's client since.
KEEPS_STATEMENTS = (1, 21)

# Two threads share one connection to the server: each prepares and runs all statements.
WORK = """
import sys, threading
import django; django.setup()
from decimal import Decimal
from django.db import connection
from orders import batches, steps
from orders.placing import bulk
from orders.placing.pricing import NewOrder, WantedLine

def work(owner_id, product_id):
    for _ in range(3):
        new = NewOrder(owner_id=owner_id, customer_name="P", email="", lines=[WantedLine(1, product_id)],
                       currency="USD", country="US", payment_token="tok_demo", hold=False)
        bulk.place_orders(entries=[bulk.Entry(new)], owner_id=owner_id)
        for claimed in batches.claim():
            steps.quote_shipping(batch_id=claimed.batch_id)
            steps.reserve_stock(batch_id=claimed.batch_id)
    connection.close()

threads = [threading.Thread(target=work, args=map(int, sys.argv[1:])) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.fixture
def pooled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The tests' database through a PgBouncer with one connection to it, in the mode that is asked for."""
    mode = request.param
    if PGBOUNCER is None:
        pytest.skip("needs pgbouncer, as from apt install pgbouncer")
    if mode == "transaction" and _version() < KEEPS_STATEMENTS:
        pytest.skip(f"PgBouncer {_version()} keeps no prepared statements in transaction mode, 1.21 does")
    url, port = urlsplit(os.environ["DATABASE_URL"]), free_port()
    name = connection.settings_dict["NAME"]
    size = 1 if mode == "transaction" else 4
    (tmp_path / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={url.hostname} port={url.port} user={url.username} password={url.password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\nunix_socket_dir =\n"
        f"pool_mode = {mode}\ndefault_pool_size = {size}\n"
        + ("max_prepared_statements = 300\n" if _version() >= KEEPS_STATEMENTS else "")
    )
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = start_child(
        [str(PGBOUNCER), *user, str(tmp_path / "pgbouncer.ini")], death_signal=signal.SIGKILL
    )
    until(lambda: _accepts(port))
    yield f"postgres://{url.username}:any@127.0.0.1:{port}/{name}"
    stop_child(process, stop_signal=signal.SIGTERM, timeout=5)


def _version() -> tuple[int, ...]:
    shown = subprocess.run([str(PGBOUNCER), "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", shown.splitlines()[0])[:2]))


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("pooled", ["session", "transaction"], indirect=True)
def test_orders_are_placed_claimed_and_moved_through_it(pooled: str) -> None:
    owner, product = make_user(), make_product()
    make_shipping()
    done = subprocess.run(
        [sys.executable, "-c", WORK, str(owner.pk), str(product.pk)],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": pooled, "DATABASE_POOLER": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    assert Journey.objects.filter(order__owner=owner).count() == 6
    assert OrderEvent.objects.filter(type="stock_reserved").exists()
