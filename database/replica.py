"""Reads from a standby what may lag: lists, the export, searches and reports; never what follows one's own write.

Each request decides (`config.replica_reads`); outside of requests, as in commands, reports may lag.
"""

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

ALIAS = "replica"
_alias: ContextVar[str] = ContextVar("alias", default=DEFAULT_DB_ALIAS)
# Seconds; 0: not at all.
_lag: ContextVar[float | None] = ContextVar("lag", default=None)
# Accounts and tokens are read at the leader: a revoked one must not work any longer.
APPS = frozenset({"orders", "inventory", "payments", "shipping"})

IS_FRESH = """
    SELECT NOT pg_is_in_recovery() OR (
        EXISTS (SELECT FROM pg_stat_wal_receiver)
        AND (pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
             OR clock_timestamp() - pg_last_xact_replay_timestamp() < %s::float8 * interval '1 second'))
"""


class Lagging(OperationalError):
    """The standby is too far behind."""


class Router:
    def db_for_read(self, model: Any, **_: Any) -> str | None:
        return _alias.get() if model._meta.app_label in APPS else None

    def allow_relation(self, *_: Any, **__: Any) -> bool:
        return True

    def allow_migrate(self, db: str, *_: Any, **__: Any) -> bool:
        """Migrate the leader only."""
        return db != ALIAS


@contextmanager
def lagging(seconds: float) -> Iterator[None]:
    """Let the reads of this context lag by so much; 0: not at all."""
    token = _lag.set(seconds)
    try:
        yield
    finally:
        _lag.reset(token)


def may_be_late(report: Callable[P, T]) -> Callable[P, T]:
    """Run a read on DATABASE_REPLICA_URL, if set and allowed; on the leader while no standby is fresh."""

    @functools.wraps(report)
    def read(*args: P.args, **kwargs: P.kwargs) -> T:
        if not is_allowed():
            return report(*args, **kwargs)
        token = _alias.set(ALIAS)
        try:
            _check()
            return report(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            logger.info("No standby is available, reading from the leader: %s", error)
        finally:
            _alias.reset(token)
        return report(*args, **kwargs)

    return read


def alias() -> str:
    """Return the alias for a read that outlasts the request."""
    if not is_allowed():
        return DEFAULT_DB_ALIAS
    try:
        _check()
    except (OperationalError, InterfaceError) as error:
        logger.info("No standby is available, reading from the leader: %s", error)
        return DEFAULT_DB_ALIAS
    return ALIAS


def is_allowed() -> bool:
    has_standby = ALIAS in connections.settings and not connections[DEFAULT_DB_ALIAS].in_atomic_block
    return has_standby and _lag.get() != 0


def connection() -> BaseDatabaseWrapper:
    return connections[_alias.get()]


def _check() -> None:
    """Raises OperationalError without a fresh standby."""
    lag = _lag.get()
    connections[ALIAS].close_if_unusable_or_obsolete()
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(IS_FRESH, [settings.REPLICA_LAG_SECONDS if lag is None else lag])
        if not cursor.fetchone()[0]:
            raise Lagging("it is too far behind.")
