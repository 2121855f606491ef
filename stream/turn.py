"""Whose turn it is to relay: one of all the nodes, by a lock that PostgreSQL holds for a session."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import OperationalError, connection

RELAYING = 7_241_002
# A holder that falls silent for so long loses the lock, frozen or not; what it writes later is fenced by the stream.
SILENCE_MILLISECONDS = 10_000

# One thread, as the session belongs to the thread that opened it.
RELAY_THREAD = ThreadPoolExecutor(1, thread_name_prefix="relay")


class Turn:
    """The lock, on a connection of its own. To be used in RELAY_THREAD."""

    def __init__(self) -> None:
        self._session: Any = None

    def take(self) -> bool:
        """Return whether it is ours; ask again as long as it is not."""
        if self._session is None:
            self._session = connection.copy()
            self._ask(f"SET idle_session_timeout = {SILENCE_MILLISECONDS}")
        ((taken,),) = self._ask("SELECT pg_try_advisory_lock(%s)", [RELAYING])
        return bool(taken)

    def keep(self) -> None:
        """Show a sign of life. Raises OperationalError if the lock is lost."""
        if self._session is None:
            raise OperationalError("The session that held the lock is closed.")
        self._ask("SELECT 1")

    def give_up(self) -> None:
        """Leave it to the others."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _ask(self, statement: str, parameters: list[Any] | None = None) -> Any:
        with self._session.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
