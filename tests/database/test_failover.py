"""What a failover does to a connection is an outage that passes, and nothing waits for a server that is silent."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django import db
from django.db import connection

from database import deadline
from database.prepared import execute
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

INSERT = "INSERT INTO auth_group (name) VALUES ('anything')"


def _by_cursor(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


WAYS = [execute, _by_cursor]


@contextmanager
def frozen_server() -> Iterator[None]:
    """The server process behind this thread's connection does nothing, as on a machine that is frozen."""
    ((pid,),) = execute("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("ask", WAYS)
def test_a_silent_server_is_given_up_and_the_next_connection_works(
    ask: Callable[[str], object], settings
) -> None:
    settings.COMMAND_TIMEOUT_SECONDS = 0.1
    connection.close()
    with frozen_server(), pytest.raises(db.OperationalError):
        ask("SELECT 1")
    connection.close()

    assert execute("SELECT 1") == [(1,)]


def test_the_watch_over_silent_servers_rests_between_calls_and_wakes_for_the_next(settings) -> None:
    settings.COMMAND_TIMEOUT_SECONDS = 0.1
    connection.close()
    with frozen_server():
        until(lambda: deadline.watch().is_resting)
        with pytest.raises(db.OperationalError):
            execute("SELECT 1")
    connection.close()


def test_short_calls_wake_the_watch_once_until_the_first_could_be_overdue() -> None:
    execute("SELECT 1")
    until(lambda: not deadline.watch().is_resting)
    first = deadline.watch().wakes_at
    execute("SELECT 1")
    assert deadline.watch().wakes_at == first


@pytest.mark.parametrize("ask", WAYS)
def test_work_that_may_take_its_time_is_waited_for(ask: Callable[[str], object], settings) -> None:
    settings.COMMAND_TIMEOUT_SECONDS = 0.1
    connection.close()
    with deadline.lifted():
        ask("SELECT pg_sleep(1.5)")


@pytest.mark.parametrize("ask", WAYS)
def test_a_server_that_takes_no_writes_any_more_is_an_outage_and_is_left(
    ask: Callable[[str], object],
) -> None:
    _by_cursor("SET default_transaction_read_only = on")

    with pytest.raises(db.OperationalError):
        ask(INSERT)
    connection.close_if_unusable_or_obsolete()

    ask(INSERT)
    assert execute("SELECT count(*) FROM auth_group WHERE name = 'anything'") == [(1,)]
