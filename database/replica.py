"""Reading from a standby, where a moment's delay does no harm: reports, never what follows one's own write."""

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
    """Have a report read from DATABASE_REPLICA_URL, if that is set; from the leader while no standby answers."""

    @functools.wraps(report)
    def read(*args: P.args, **kwargs: P.kwargs) -> T:
        if ALIAS not in connections.settings or connections[DEFAULT_DB_ALIAS].in_atomic_block:
            return report(*args, **kwargs)
        token = _alias.set(ALIAS)
        try:
            connections[ALIAS].close_if_unusable_or_obsolete()
            return report(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            logger.info("No standby answers, the leader is asked: %s", error)
        finally:
            _alias.reset(token)
        return report(*args, **kwargs)

    return read


def connection() -> BaseDatabaseWrapper:
    """Return the connection to read from: to a standby inside of what may be late, else to the leader."""
    return connections[_alias.get()]
