"""Reports results that no caller awaits any more: in groups, on one thread and one database connection.

A connection for each would exhaust the database's just when a slow provider answers hundreds of calls at once.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from providers.collector import Collector, by_halves
from runtime.per_process import per_process

T = TypeVar("T")
# Gets the late results of one gathering by their places. Without a database it is called again.
OnLate = Callable[[Sequence[tuple[int, T]]], None]

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Late(Generic[T]):
    on_late: OnLate[T]
    place: int
    result: T
    is_reported: bool = False


def report(on_late: OnLate[T], place: int, result: T) -> None:
    """Report a late result soon, together with others of its gathering. Does not block."""
    _collector().add(Late(on_late, place, result))


def wait_until_reported(*, seconds: float) -> bool:
    """Whether all late results so far are reported within `seconds`."""
    return not _collector.exists() or _collector().wait_until_idle(seconds=seconds)


def _take(late: Sequence[Late[Any]]) -> None:
    gatherings: dict[int, list[Late[Any]]] = {}
    for one in late:
        if not one.is_reported:
            gatherings.setdefault(id(one.on_late), []).append(one)
    for gathering in gatherings.values():
        for _ in by_halves(_report, gathering, alone=_give_up):
            pass


def _report(late: Sequence[Late[Any]]) -> None:
    """Report results of one gathering."""
    late[0].on_late([(one.place, one.result) for one in late])
    for one in late:
        one.is_reported = True


def _give_up(one: Late[Any], error: Exception) -> None:
    logger.error("A late result could not be reported.", exc_info=error)
    one.is_reported = True


@per_process
def _collector() -> Collector[Late[Any]]:
    return Collector(_take, name="late-answers")
