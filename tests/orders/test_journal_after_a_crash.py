"""PostgreSQL is killed: what its readers have read then, and what they read afterwards."""

from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from launcher.engines import free_port, start_engine, stop_engine
from launcher.engines.postgres import DATABASE, Postgres
from orders import journal
from orders.journal import Position
from tests.factories import make_order, make_product

pytestmark = pytest.mark.django_db(transaction=True)


class Cluster:
    """A PostgreSQL that may be killed."""

    def __init__(self, engine: Postgres) -> None:
        self.engine = engine
        self.process = start_engine(engine)
        engine.create_database()

    def roll_back(self, transactions: int) -> None:
        """Have so many transactions end without a trace."""
        with psycopg.connect(self.engine.url) as rolled_back:
            for _ in range(transactions):
                rolled_back.execute("SELECT pg_current_xact_id()")
                rolled_back.rollback()

    def kill(self) -> None:
        """Kill every process of it, and start it again on what is on the disk."""
        backends = psutil.Process(self.process.pid).children()
        self.process.kill()
        for backend in backends:
            with suppress(psutil.NoSuchProcess):  # it went with its server
                backend.kill()
        self.process.wait()
        psutil.wait_procs(backends, timeout=10)
        connection.close()
        self.process = start_engine(self.engine)


@pytest.fixture
def cluster(monkeypatch):
    engine = Postgres(
        folder=Path(settings.DATA_DIR) / "killed",
        port=free_port(),
        password="only-for-this-test",
        # Otherwise a process in the background may bring even an idle server's log to the disk first.
        parameters={"wal_writer_delay": "10s"},
    )
    cluster = Cluster(engine)
    connection.close()
    with monkeypatch.context() as elsewhere:
        for name, value in {"NAME": DATABASE, "PORT": engine.port, "PASSWORD": engine.password}.items():
            elsewhere.setitem(connection.settings_dict, name, value)
        call_command("migrate", verbosity=0)
        yield cluster
        connection.close()
    stop_engine(engine, cluster.process)


def read_on(position: Position) -> tuple[list[int], Position]:
    """Read all there is after a position; return whose events these were, and where the reader then stands."""
    read: list[int] = []
    while events := journal.follow(position):
        read += [event.order_id for event in events]
        position = events[-1].position
    return read, max(position, journal.end())


def test_events_with_numbers_that_were_given_out_before_are_read(cluster):
    make_order((make_product(), 1))
    _, position = read_on(Position())
    cluster.roll_back(transactions=100)
    nothing, position = read_on(position)
    assert nothing == []
    cluster.kill()
    order = make_order((make_product(), 1))
    read, _ = read_on(position)
    assert read == [order.order_id]
