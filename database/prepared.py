"""Statements that PostgreSQL parses and plans once for each connection, and that leave Python with little ado.

Django's cursors put the values into the text of a statement, so that each execution is a new one; and with psycopg's
cursors the way to libpq and back is long. That is as well for most. But an order that travels alone meets some thirty
statements on its way, one after the other, in processes that have just woken up: there the way took three times as
long as the statement.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from database import deadline

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from database.postgresql.base import DatabaseWrapper

Parameters = Sequence[Any] | Mapping[str, Any]

# More than there usually are; with more the server forgets all of them, and those in use are prepared again.
MAX_STATEMENTS = 200
# Bytes of an argument from which on a statement is planned for it alone. A prepared one keeps the plan that it was
# given when its tables were nearly empty, say, until they are analysed: with rows by the hundred that costs twenty
# times as much, and to plan costs nothing then.
LARGE = 1000
PLACEHOLDER = re.compile(r"%(?:%|s|\((\w+)\)s)")
# What a statement that was prepared cannot be executed for any more; with a new connection it can.
# The same after a failover, when a server that takes no writes any more still holds our connection.
OUT_OF_DATE = (errors.FeatureNotSupported, errors.InvalidSqlStatementName, errors.ReadOnlySqlTransaction)


def execute(statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
    """Execute a statement and return its rows. Django's transactions and errors apply as ever.

    Its text must be one of few, has `%s` or `%(name)s` in place of values, and tells their types: `%(ids)s::bigint[]`.
    Raises OperationalError if what it answers has changed since it was prepared: with a new connection it works again.
    """
    django = cast("DatabaseWrapper", connections[DEFAULT_DB_ALIAS])
    django.close_if_health_check_failed()
    django.ensure_connection()
    with django.wrap_database_errors:
        return django.statements.execute(statement, parameters)


class Statements:
    """The statements that a connection has prepared, and the way to execute them."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection, self._libpq = connection, connection.pgconn
        self._values = Transformer(connection)
        self._names: dict[str, bytes] = {}

    def execute(self, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Return the statement's rows; raises psycopg's errors."""
        sql, names = _parsed(statement)
        values = (
            [cast("Mapping[str, Any]", parameters)[name] for name in names]
            if names
            else cast("Sequence[Any]", parameters)
        )
        self._begin()
        arguments = self._values.dump_sequence(values, [PyFormat.TEXT] * len(values))
        is_large = any(argument is not None and len(argument) > LARGE for argument in arguments)
        if is_large:
            run = partial(self._libpq.exec_params, sql, arguments)
        else:
            name = self._names.get(statement) or self._prepare(statement, sql)
            run = partial(self._libpq.exec_prepared, name, arguments)  # type: ignore[arg-type]
        with deadline.over(self._libpq.socket):
            result = run()
        return self._rows(result)

    def commit(self) -> None:
        """Commit the transaction if there is one; raises psycopg's errors."""
        if self._libpq.transaction_status != TransactionStatus.IDLE:
            self._run(b"COMMIT")

    def _begin(self) -> None:
        """Begin a transaction if one is wanted and there is none, as psycopg does."""
        if not self._connection.autocommit and self._libpq.transaction_status == TransactionStatus.IDLE:
            self._run(b"BEGIN")

    def _run(self, command: bytes) -> None:
        with deadline.over(self._libpq.socket):
            result = self._libpq.exec_(command)
        self._check(result)

    def _prepare(self, statement: str, sql: bytes) -> bytes:
        if len(self._names) >= MAX_STATEMENTS:
            self._run(b"DEALLOCATE ALL")
            self._names.clear()
        name = b"ours_%d" % len(self._names)
        with deadline.over(self._libpq.socket):
            result = self._libpq.prepare(name, sql)
        self._check(result)
        self._names[statement] = name
        return name

    def _rows(self, result: "PGresult") -> list[tuple[Any, ...]]:
        self._check(result)
        if result.status != ExecStatus.TUPLES_OK:
            return []
        self._values.set_pgresult(result)
        try:
            return self._values.load_rows(0, result.ntuples, tuple)
        finally:
            self._values.set_pgresult(None)

    def _check(self, result: "PGresult") -> None:
        if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            return
        if self._libpq.status != ConnStatus.OK:
            raise psycopg.OperationalError(result.get_error_message())
        error = errors.error_from_result(result)
        if isinstance(error, OUT_OF_DATE):
            self._connection.close()
            raise psycopg.OperationalError(str(error)) from error
        raise error


@lru_cache(maxsize=MAX_STATEMENTS)
def _parsed(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a statement as PostgreSQL numbers its parameters, and their names in that order if they have any."""
    names: list[str] = []
    count = 0

    def numbered(found: re.Match[str]) -> str:
        nonlocal count
        if found[0] == "%%":
            return "%"
        if found[1] is None:
            count += 1
            return f"${count}"
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    sql = PLACEHOLDER.sub(numbered, statement)
    return sql.encode(), tuple(names)
