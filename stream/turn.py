"""The relay's lock: one node at a time holds a session advisory lock in PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import OperationalError, connection

RELAYING = 7_241_002
# A silent holder loses the lock; the stream fences its later writes.
SILENCE_MILLISECONDS = 10_000

# A session belongs to the thread that opened it.
RELAY_THREAD = ThreadPoolExecutor(1, thread_name_prefix="relay")


class Turn:
    """The lock on its own connection; use it in RELAY_THREAD."""

    def __init__(self) -> None:
        self._session: Any = None

    def take(self) -> bool:
        """Try to acquire the lock; return whether it is held."""
        if self._session is None:
            self._session = connection.copy()
            self._execute(f"SET idle_session_timeout = {SILENCE_MILLISECONDS}")
        ((taken,),) = self._execute("SELECT pg_try_advisory_lock(%s)", [RELAYING])
        return bool(taken)

    def keep(self) -> None:
        """Send a heartbeat. Raises OperationalError if the lock is lost."""
        if self._session is None:
            raise OperationalError("The session that held the lock is closed.")
        self._execute("SELECT 1")

    def give_up(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _execute(self, statement: str, parameters: list[Any] | None = None) -> Any:
        with self._session.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
