"""Statements that PostgreSQL parses and plans once for each connection, and not each time they are executed.

Django's cursors put the values into the text of a statement, so that each execution is a new one. That is as well
for most. What is executed for every request and in every step of the journey costs more to plan than to execute.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection


@contextmanager
def prepared_cursor() -> Iterator[psycopg.Cursor[Any]]:
    """Yield a cursor that prepares what it executes. Django's transactions and errors apply as ever.

    The statement's text must be one of few, and its parameters have a type: `%(ids)s::bigint[]`. Raises
    OperationalError if what it answers has changed since it was prepared: with a new connection it works again.
    """
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw = connection.connection
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        # Only here: psycopg would keep the text of every other statement to count how often it comes.
        raw.prepare_threshold = 0
        try:
            yield cursor
        except psycopg.errors.FeatureNotSupported as error:
            # A migration has changed the type of a column since. A new connection will not know the old one.
            raw.close()
            raise psycopg.OperationalError(str(error)) from error
        finally:
            raw.prepare_threshold = None
