"""Concurrent conversations for blocking callers, without waiting for the slowest."""

import logging
import time
from collections.abc import Sequence
from functools import partial
from threading import Condition
from typing import Any, TypeVar

from providers import late
from providers.concurrency import Gathered
from providers.conversation import Conversation
from providers.late import OnLate
from providers.loop import Job, NotBegun, Turn, loop

T = TypeVar("T")

logger = logging.getLogger(__name__)


def together(
    name: str,
    conversations: Sequence[Conversation[T]],
    *,
    patience: float,
    on_late: OnLate[T],
) -> Gathered[T]:
    """Run conversations on the process's loop; return the results within `patience` seconds.

    With the guarantees of `providers.concurrency.concurrently`.
    """
    gathering = _Gathering(on_late)
    until = time.monotonic() + patience
    jobs = [
        Job(conversation, partial(gathering.done, place), begin_by=until)
        for place, conversation in enumerate(conversations)
    ]
    loop().submit(name, jobs, turn=Turn.FIRST)  # a caller waits for them
    results = gathering.wait(len(jobs), until)
    begun = {place for place, job in enumerate(jobs) if job.has_begun}
    return Gathered(results, frozenset(begun - gathering.not_begun - set(results)))


class _Gathering:
    def __init__(self, on_late: OnLate[Any]) -> None:
        self._on_late = on_late
        self._results: dict[int, Any] = {}
        self.not_begun: set[int] = set()
        self._errors: list[Exception] = []
        self._is_over = False
        self._change = Condition()

    def done(self, place: int, result: Any) -> None:
        with self._change:
            if self._is_over:
                self._report_late(place, result)
                return
            if isinstance(result, NotBegun):
                self.not_begun.add(place)
            elif isinstance(result, Exception):
                self._errors.append(result)
            else:
                self._results[place] = result
            self._change.notify()

    def wait(self, total: int, until: float) -> dict[int, Any]:
        with self._change:
            self._change.wait_for(
                lambda: self._errors or len(self._results) + len(self.not_begun) == total,
                timeout=max(0.0, until - time.monotonic()),
            )
            self._is_over = True
            if self._errors:
                raise self._errors[0]
            return self._results

    def _report_late(self, place: int, result: Any) -> None:
        if isinstance(result, NotBegun):
            return
        if isinstance(result, Exception):
            logger.error("A late call failed.", exc_info=result)
            return
        late.report(self._on_late, place, result)
