"""The module in which Django looks for a database backend's connection."""

import functools
import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.utils import debug_transaction

from database import deadline
from database.prepared import Statements


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection as Django's, whose health check at the start of a request costs no round trip.

    It keeps what it has prepared (`database.prepared`).
    """

    statements: Statements

    def get_new_connection(self, conn_params: dict[str, Any]) -> psycopg.Connection[Any]:
        """Return a connection on which nothing is prepared yet."""
        new: psycopg.Connection[Any] = super().get_new_connection(conn_params)
        self._set_session(new)
        self.statements = Statements(new)
        new.wait = functools.partial(_wait, new)  # type: ignore[method-assign]
        return new

    def _set_session(self, new: psycopg.Connection[Any]) -> None:
        """Set with a statement what a pooler does not let us set at start-up."""
        session: dict[str, str] = self.settings_dict.get("SESSION", {})
        if session:
            calls = ", ".join("set_config(%s, %s, false)" for _ in session)
            new.execute(f"SELECT {calls}", [word for pair in session.items() for word in pair])
            new.commit()

    def _commit(self) -> None:
        """Commit, on the short way."""
        if self.connection is not None:
            with debug_transaction(self, "COMMIT"), self.wrap_database_errors:
                self.statements.commit()

    def is_usable(self) -> bool:
        """Return whether the connection is still there.

        A server that closed it, or is shutting down, has said so: there is something to read. As long as an
        idle connection is silent there is nothing to find out by asking.
        """
        return self._is_silent() or super().is_usable()

    def _is_silent(self) -> bool:
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return not poll.poll(0)


def _wait(connection: psycopg.Connection[Any], generator: Any, *args: Any, **kwargs: Any) -> Any:
    """Wait for the server as psycopg does, but not for ever, and leave one that takes no writes any more."""
    try:
        with deadline.over(connection.pgconn.socket):
            return psycopg.Connection.wait(connection, generator, *args, **kwargs)
    except psycopg.errors.ReadOnlySqlTransaction as error:
        connection.close()
        raise psycopg.OperationalError(str(error)) from error
