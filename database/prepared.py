"""Statements parsed and planned once per connection, on a short path through Python.

Django interpolates values, which makes each execution a new statement. For an order alone in its batch, that path
took three times as long as the statements.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from database.deadline import Deadline

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from database.postgresql.base import DatabaseWrapper

Parameters = Sequence[Any] | Mapping[str, Any]

# Beyond it all are deallocated, and those in use prepared again.
MAX_STATEMENTS = 200
# Bytes of all arguments beyond which a statement is planned for it alone: a plan from nearly empty tables costs
# twenty times as much with hundreds of rows.
LARGE = 1000
# Executions for which that holds: then the tables have grown, and plans for thousands of rows cost more than they save.
PLANNED_ANEW = 3
PLACEHOLDER = re.compile(r"%(?:%|s|\((\w+)\)s)")
# An obsolete statement, or a read-only server after a failover; a new connection helps.
OUT_OF_DATE = (errors.FeatureNotSupported, errors.InvalidSqlStatementName, errors.ReadOnlySqlTransaction)


def execute(statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
    """Execute a statement and return its rows.

    Use few distinct texts, with explicit types: `%(ids)s::bigint[]`. Raises OperationalError if the result's
    columns have changed; a new connection works.
    """
    django: DatabaseWrapper = connections[DEFAULT_DB_ALIAS]  # type: ignore[assignment]
    django.close_if_health_check_failed()
    django.ensure_connection()
    with django.wrap_database_errors:
        return django.statements.execute(statement, parameters)


class Statements:
    def __init__(self, connection: psycopg.Connection[Any], deadline: Deadline) -> None:
        self._connection, self._libpq, self._deadline = connection, connection.pgconn, deadline
        self._values = Transformer(connection)
        self._names: dict[tuple[str, bool], bytes] = {}
        self._planned_anew: Counter[str] = Counter()

    def execute(self, statement: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Return the statement's rows; raises psycopg's errors."""
        sql, names = _parsed(statement)
        values: Any = [parameters[name] for name in names] if names else parameters  # type: ignore[call-overload]
        self._begin()
        arguments = self._values.dump_sequence(values, [PyFormat.TEXT] * len(values))
        is_large = sum(map(len, filter(None, arguments))) > LARGE
        if is_large and self._is_planned_anew(statement):
            return self._rows(self._deadline.call(self._libpq.exec_params, sql, arguments))
        # Many rows have a plan of their own.
        key = (statement, is_large)
        name = self._names.get(key) or self._prepare(key, sql)
        return self._rows(self._deadline.call(self._libpq.exec_prepared, name, arguments))

    def commit(self) -> None:
        """Commit an open transaction; raises psycopg's errors."""
        if self._libpq.transaction_status != TransactionStatus.IDLE:
            self._run(b"COMMIT")

    def _begin(self) -> None:
        if not self._connection.autocommit and self._libpq.transaction_status == TransactionStatus.IDLE:
            self._run(b"BEGIN")

    def _run(self, command: bytes) -> None:
        self._check(self._deadline.call(self._libpq.exec_, command))

    def _is_planned_anew(self, statement: str) -> bool:
        self._planned_anew[statement] += 1
        return self._planned_anew[statement] <= PLANNED_ANEW

    def _prepare(self, key: tuple[str, bool], sql: bytes) -> bytes:
        if len(self._names) >= MAX_STATEMENTS:
            self._run(b"DEALLOCATE ALL")
            self._names.clear()
        name = b"ours_%d" % len(self._names)
        self._check(self._deadline.call(self._libpq.prepare, name, sql))
        self._names[key] = name
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
