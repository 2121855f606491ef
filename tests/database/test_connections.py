"""Connections: what they cost at the start of a request, and statements that are planned once."""

from typing import Any

import psycopg
import pytest
from django import db
from django.db import connection

from database.prepared import prepared_cursor
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
    with prepared_cursor() as cursor:
        answers = [cursor.execute("SELECT %s::int + 1", [n]).fetchone() for n in range(3)]
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::int + 1'"
        )

        assert answers == [(1,), (2,), (3,)]
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db
def test_its_errors_are_djangos() -> None:
    with pytest.raises(db.DataError), db.transaction.atomic(), prepared_cursor() as cursor:
        cursor.execute("SELECT 1 / %s::int", [0])


@pytest.mark.django_db(transaction=True)
def test_a_statement_whose_answer_changed_its_type_is_prepared_anew_on_the_next_connection() -> None:
    def ask() -> Any:
        with prepared_cursor() as cursor:
            return cursor.execute("SELECT a FROM changing").fetchall()

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
