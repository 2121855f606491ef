"""Reads from a standby for reports that tolerate lag; never for reads that follow one's own write."""

import functools
import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

ALIAS = "replica"
_alias: ContextVar[str] = ContextVar("alias", default=DEFAULT_DB_ALIAS)


def may_be_late(report: Callable[P, T]) -> Callable[P, T]:
    """Run a report on DATABASE_REPLICA_URL, if set; on the leader while no standby answers."""

    @functools.wraps(report)
    def read(*args: P.args, **kwargs: P.kwargs) -> T:
        if ALIAS not in connections.settings or connections[DEFAULT_DB_ALIAS].in_atomic_block:
            return report(*args, **kwargs)
        token = _alias.set(ALIAS)
        try:
            connections[ALIAS].close_if_unusable_or_obsolete()
            return report(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            logger.info("No standby is available, reading from the leader: %s", error)
        finally:
            _alias.reset(token)
        return report(*args, **kwargs)

    return read


def connection() -> BaseDatabaseWrapper:
    """Return the connection to read from: a standby's inside `may_be_late`, else the leader's."""
    return connections[_alias.get()]
