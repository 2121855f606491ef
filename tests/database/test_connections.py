"""Connections: what they cost at the start of a request, and statements that are planned once."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django import db
from django.db import connection

from database import prepared
from database.prepared import execute
from tests.waiting import until


def ended_by_the_server() -> None:
    """End this thread's connection as a restart of PostgreSQL would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with psycopg.connect(**_where(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def _where() -> dict[str, Any]:
    parameters = connection.get_connection_params()
    return {name: parameters[name] for name in ("dbname", "user", "password", "host", "port")}


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_ended_is_not_usable() -> None:
    connection.ensure_connection()
    assert connection.is_usable()

    ended_by_the_server()

    until(lambda: not connection.is_usable())
    connection.close()


@pytest.mark.django_db
def test_a_prepared_statement_is_planned_once() -> None:
    answers = [execute("SELECT %s::int + 1", [n]) for n in range(3)]
    prepared = execute("SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int + 1'")

    assert answers == [[(1,)], [(2,)], [(3,)]]
    assert prepared == [(1,)]


@pytest.mark.django_db
def test_its_values_arrive_as_they_are() -> None:
    now, uuid = datetime(2026, 11, 22, 8, 30, tzinfo=UTC), uuid4()
    values = {"n": 7, "t": "a'b\\%s", "d": Decimal("1.10"), "yes": True, "b": b"\0\xff", "none": None}
    lists = {"uuid": uuid, "at": now, "texts": ["a", 'b"c'], "empty": []}

    (row,) = execute(
        "SELECT %(n)s::int, %(t)s::text, %(d)s::numeric, %(yes)s::bool, %(b)s::bytea, %(none)s::int,"
        " %(uuid)s::uuid, %(at)s::timestamptz, %(texts)s::text[], %(empty)s::text[], %(n)s::int + 1, '100%%'",
        values | lists,
    )

    assert row == (*values.values(), *lists.values(), 8, "100%")


@pytest.mark.django_db
def test_what_it_did_is_rolled_back_with_the_rest() -> None:
    with suppress(ZeroDivisionError), db.transaction.atomic():
        execute("INSERT INTO auth_group (name) VALUES (%s)", ["gone"])
        raise ZeroDivisionError
    with db.transaction.atomic():
        execute("INSERT INTO auth_group (name) VALUES (%s)", ["kept"])

    assert execute("SELECT name FROM auth_group WHERE name IN ('gone', 'kept')") == [("kept",)]


@pytest.mark.django_db
def test_statements_without_number_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "MAX_STATEMENTS", 3)

    assert [execute(f"SELECT {n}") for n in range(20)] == [[(n,)] for n in range(20)]
    assert execute("SELECT count(*) <= 3 FROM pg_prepared_statements") == [(True,)]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_lost_is_an_operational_error_and_the_next_one_works() -> None:
    assert execute("SELECT 1") == [(1,)]
    ended_by_the_server()

    with pytest.raises(db.OperationalError):
        execute("SELECT 1")
    connection.close_if_unusable_or_obsolete()

    assert execute("SELECT 1") == [(1,)]


@pytest.mark.django_db
def test_its_errors_are_djangos() -> None:
    with pytest.raises(db.DataError), db.transaction.atomic():
        execute("SELECT 1 / %s::int", [0])


@pytest.mark.django_db(transaction=True)
def test_a_statement_whose_answer_changed_its_type_is_prepared_anew_on_the_next_connection() -> None:
    def ask() -> Any:
        return execute("SELECT a FROM changing")

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE changing AS SELECT 1::int AS a")
        try:
            assert ask() == [(1,)]
            cursor.execute("ALTER TABLE changing ALTER a TYPE bigint")
            with pytest.raises(db.OperationalError):
                ask()
            assert connection.errors_occurred
            connection.close_if_unusable_or_obsolete()
            assert ask() == [(1,)]
        finally:
            with connection.cursor() as cleaner:
                cleaner.execute("DROP TABLE changing")


@pytest.mark.django_db
def test_debug_keeps_no_log_of_statements(settings) -> None:
    settings.DEBUG = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert not connection.queries_log
