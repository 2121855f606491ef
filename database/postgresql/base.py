"""The database backend's connection, in the module where Django expects it."""

import functools
import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.utils import debug_transaction

from database import failover
from database.deadline import Deadline
from database.prepared import Statements


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's connection, with prepared statements and a health check without a round trip."""

    statements: Statements

    @property
    def queries_logged(self) -> bool:
        """Whether statements are kept for tests. DEBUG alone keeps none: Django's log holds 9,000 of them."""
        return self.force_debug_cursor

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        new = self._connect(conn_params)
        self._set_session(new)
        deadline = Deadline(new.pgconn)
        self.statements = Statements(new, deadline)
        new.wait = functools.partial(_wait, new, deadline)  # type: ignore[method-assign]
        return new

    def _connect(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Connect; inside `failover.patience`, wait for a leader."""
        while True:
            try:
                return super().get_new_connection(conn_params)
            except psycopg.OperationalError:
                if not failover.pause():
                    raise

    def _set_session(self, new: psycopg.Connection[Any]) -> None:
        """Poolers reject these as start-up parameters."""
        session: dict[str, str] = self.settings_dict.get("SESSION", {})
        if session:
            calls = ", ".join("set_config(%s, %s, false)" for _ in session)
            new.execute(f"SELECT {calls}", [word for pair in session.items() for word in pair])
            new.commit()

    def _commit(self) -> None:
        if self.connection is not None:
            with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
                self.statements.commit()

    def is_usable(self) -> bool:
        """Whether the connection is open: a server that ends it sends something to read."""
        return self._is_silent() or super().is_usable()

    def _is_silent(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)


def _wait(connection: psycopg.Connection[Any], deadline: Deadline, *arguments: Any, **options: Any) -> Any:
    """Wait for the server as psycopg does, with a deadline, and leave one that has become read-only."""
    try:
        return deadline.call(psycopg.Connection.wait, connection, *arguments, **options)
    except psycopg.errors.ReadOnlySqlTransaction as error:
        connection.close()
        raise psycopg.OperationalError(str(error)) from error
