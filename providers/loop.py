"""The process's loop: one thread that runs thousands of conversations with providers.

Lanes and jobs are touched on that thread only. Other threads submit, request room, and wait. A job's `done`
runs on the loop's thread and must not block.
"""

import atexit
import heapq
import logging
import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar

from django.conf import settings

from providers.answers import LONGEST_RETRY_AFTER_SECONDS, Answer, TryFailed, judged
from providers.breaker import Admission, breaker
from providers.conversation import Conversation
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import Budget, Call, own_headers, pause
from providers.rate import Rate
from providers.window import Window
from providers.wire import Reply, Target, Wire
from runtime.per_process import per_process
from telemetry import measures

T = TypeVar("T")

logger = logging.getLogger(__name__)

LONGEST_REST = 30.0
NEVER = float("inf")
# One in so many places is kept for jobs that do not begin last.
KEPT_PART = 8
# Files that a process has open besides its calls' connections.
OTHER_FILES = 200


class NotBegun(Exception):
    """The conversation was not begun in time; nothing was sent."""


@dataclass(slots=True, eq=False)
class Job(Generic[T]):
    conversation: Conversation[T]
    done: Callable[[T | Exception], None]
    begin_by: float = NEVER  # monotonic; not begun later than this
    has_begun: bool = False
    call: Call | None = None  # to be made, or under way
    budget: Budget | None = None
    number: int = 0  # of the call's tries
    doubt: str = ""


class Turn(IntEnum):
    """Which of the jobs that wait begin first."""

    FIRST = 0  # what is begun, and what finishes what others began
    SOON = 1
    LAST = 2


class Lane:
    """The calls to one provider: queues, and the bounds on calls under way."""

    def __init__(self, name: str, base_url: str) -> None:
        self.name = name
        self.target = Target.of(base_url)
        self.headers = own_headers(name)
        self.window = Window(bound())
        self.rate = Rate(name)
        self.load = 0  # unfinished conversations
        self.under_way = 0  # calls
        self.queues: dict[Turn, deque[Job[Any]]] = {turn: deque() for turn in Turn}
        self.successes = 0  # not yet reported to the breaker
        self.failures = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self.queues.values()))

    def room(self, turn: Turn) -> int:
        """Return the free places. What begins last leaves some to others."""
        kept = self.window.allowance // KEPT_PART if turn is Turn.LAST else 0
        return max(0, self.window.allowance - kept - self.load)

    def next(self) -> Job[Any]:
        return next(filter(None, self.queues.values())).popleft()


class Loop:
    """One process's loop; use `loop()`."""

    def __init__(self) -> None:
        self._wire = Wire(connections=bound())
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._inbox: deque[tuple[Lane, Job[Any], Turn]] = deque()
        self._later: list[tuple[float, int, Lane, Job[Any]]] = []
        self._numbers = count()
        self._change = threading.Condition()
        self._has_ended = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="provider-loop", daemon=True)
        self._thread.start()

    # --- From any thread ----------------------------------------------------------------------------------

    def submit(self, name: str, jobs: Sequence[Job[Any]], *, turn: Turn = Turn.LAST) -> None:
        """Queue conversations."""
        lane = self._lane(name)
        with self._change:
            lane.load += len(jobs)
            self._inbox.extend((lane, job, turn) for job in jobs)
        self._wire.wake()

    def room(self, name: str, *, wanted: int, until: float, turn: Turn = Turn.FIRST) -> int:
        """Return a lane's free places, up to `wanted`; 0 if none in time.

        Waits until that monotonic time for all, or a quarter of the window.
        """
        lane = self._lane(name)
        with self._change:
            self._change.wait_for(
                lambda: lane.room(turn) >= min(wanted, max(1, int(lane.window.size / 4))),
                timeout=max(0.0, until - time.monotonic()),
            )
            return min(wanted, lane.room(turn))

    def usual_seconds(self, name: str) -> float:
        """Return the recent duration of a call; 0 before the first."""
        return self._lane(name).window.usual

    def drain(self, *, seconds: float) -> bool:
        """Wait until all conversations have ended; False on timeout."""
        with self._change:
            return self._change.wait_for(
                lambda: not any(lane.load for lane in self._lanes.values()), timeout=seconds
            )

    def stop(self) -> None:
        """End the thread; calls under way are abandoned."""
        self._stopping = True
        self._wire.wake()
        self._thread.join(timeout=1)

    def _lane(self, name: str) -> Lane:
        place = name, settings.PROVIDERS[name]
        with self._change:
            if place not in self._lanes:
                self._lanes[place] = Lane(*place)
            return self._lanes[place]

    # --- The thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:
                logger.exception("A turn of the providers' loop failed")
                time.sleep(0.05)
        self._wire.close()

    def _turn(self) -> None:
        self._wire.wait(self._rest())
        now = time.monotonic()
        while self._inbox:
            lane, job, turn = self._inbox.popleft()
            lane.queues[turn].append(job)
        while self._later and self._later[0][0] <= now:
            _, _, lane, job = heapq.heappop(self._later)
            lane.queues[Turn.FIRST].append(job)
        for lane in list(self._lanes.values()):
            self._start(lane)
            self._tell_breaker(lane)
        if self._has_ended:
            self._has_ended = False
            with self._change:
                self._change.notify_all()

    def _rest(self) -> float:
        if self._inbox:
            return 0.0
        moments = [
            max(lane.window.not_before, lane.rate.not_before)
            for lane in self._lanes.values()
            if lane.waiting and lane.window.room(lane.under_way, now=NEVER)
        ]
        moments += [self._later[0][0]] if self._later else []
        return min([LONGEST_REST, *(moment - time.monotonic() for moment in moments)])

    def _start(self, lane: Lane) -> None:
        while lane.waiting:
            now = time.monotonic()
            wanted = min(lane.waiting, lane.window.room(lane.under_way, now=now))
            if wanted < lane.waiting:
                lane.window.crowded()
            wanted = lane.rate.take(wanted, now=now)
            if not wanted:
                return
            admission = breaker(lane.name).admit(wanted)
            for _ in range(admission.calls):
                if lane.waiting:
                    self._begin(lane, lane.next(), admission)
            if admission.calls < wanted:
                self._refuse(lane, lane.waiting, admission)

    def _begin(self, lane: Lane, job: Job[Any], admission: Admission) -> None:
        """Make a job's next try; start its conversation if it has no call yet."""
        if not self._is_ready(lane, job):
            return
        assert job.call is not None
        assert job.budget is not None
        patience = min(job.budget.timeout, job.budget.deadline - time.monotonic())
        lane.under_way += 1
        job.number += 1
        self._wire.begin(
            lane.target,
            job.call,
            headers=lane.headers,
            timeout=max(0.001, patience),
            done=partial(self._on_reply, lane, job, admission.probe),
        )

    def _is_ready(self, lane: Lane, job: Job[Any]) -> bool:
        if job.has_begun:
            return job.call is not None
        if time.monotonic() > job.begin_by:
            self._end(lane, job, NotBegun())
            return False
        job.has_begun = True
        return self._advance(lane, job, partial(next, job.conversation))

    def _refuse(self, lane: Lane, jobs: int, admission: Admission) -> None:
        for job in [lane.next() for _ in range(jobs)]:
            if self._is_ready(lane, job):
                measures.PROVIDER_CALLS.add(lane.name, "not_sent")
                failure = TryFailed(
                    "its breaker is open",
                    in_doubt=False,
                    worth_another=False,
                    retry_after=admission.retry_after,
                )
                self._failed(lane, job, failure)

    # --- Results of a try ---------------------------------------------------------------------------------

    def _on_reply(self, lane: Lane, job: Job[Any], probe: str, reply: Reply) -> None:
        lane.under_way -= 1
        measures.PROVIDER_SECONDS.observe(reply.seconds, lane.name)
        try:
            answer = _answer(reply)
        except TryFailed as failure:
            measures.PROVIDER_CALLS.add(lane.name, "in_doubt" if failure.in_doubt else "failed")
            self._note(lane, probe, ok=False)
            _narrow(lane.window, reply, failure)
            self._failed(lane, job, failure)
            return
        measures.PROVIDER_CALLS.add(lane.name, "refused" if answer.is_refusal else "answered")
        self._note(lane, probe, ok=True)
        lane.window.answered(reply.seconds, now=time.monotonic())
        self._answered(lane, job, answer)

    def _note(self, lane: Lane, probe: str, *, ok: bool) -> None:
        if probe:
            breaker(lane.name).record(Admission(allowed=True, probe=probe), ok=ok)
        else:
            lane.successes += ok
            lane.failures += not ok

    def _tell_breaker(self, lane: Lane) -> None:
        if lane.successes or lane.failures:
            breaker(lane.name).record_all(successes=lane.successes, failures=lane.failures)
            lane.successes = lane.failures = 0

    def _answered(self, lane: Lane, job: Job[Any], answer: Answer) -> None:
        job.call = None
        if answer.is_refusal:
            refused = ProviderRefused(lane.name, answer.status, *answer.error, answer.content)
            self._advance(lane, job, partial(job.conversation.throw, refused), queue=True)
        else:
            self._advance(lane, job, partial(job.conversation.send, answer.content), queue=True)

    def _failed(self, lane: Lane, job: Job[Any], failure: TryFailed) -> None:
        assert job.call is not None
        assert job.budget is not None
        job.doubt = failure.reason if failure.in_doubt else job.doubt
        wait = pause(max(1, job.number), failure.retry_after)
        if failure.worth_another and job.budget.allows_another(job.number, wait):
            heapq.heappush(self._later, (time.monotonic() + wait, next(self._numbers), lane, job))
            return
        error: Exception = ProviderUnavailable(lane.name, failure.reason, retry_after=failure.retry_after)
        if job.doubt and job.call.method == "GET":
            error = ProviderUnavailable(lane.name, job.doubt)
        elif job.doubt:
            error = OutcomeUnknown(lane.name, job.doubt)
        job.call = None
        self._advance(lane, job, partial(job.conversation.throw, error), queue=True)

    # --- The conversation ---------------------------------------------------------------------------------

    def _advance(self, lane: Lane, job: Job[Any], step: Callable[[], Call], *, queue: bool = False) -> bool:
        """Advance the conversation. Return whether it has another call."""
        try:
            job.call = step()
        except StopIteration as end:
            self._end(lane, job, end.value)
            return False
        except Exception as error:  # noqa: BLE001 - whoever submitted it knows what to do
            self._end(lane, job, error)
            return False
        job.budget, job.number, job.doubt = Budget.of_settings(), 0, ""
        if queue:
            lane.queues[Turn.FIRST].append(job)
        return True

    def _end(self, lane: Lane, job: Job[Any], result: Any) -> None:
        self._has_ended = True
        with self._change:
            lane.load -= 1
        try:
            job.done(result)
        except Exception:
            logger.exception("What came of a conversation with %s could not be passed on", lane.name)


def bound() -> int:
    """Return the bound on calls under way: the setting, limited by open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.PROVIDER_CALLS_IN_FLIGHT + OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(settings.PROVIDER_CALLS_IN_FLIGHT, soft - OTHER_FILES))


def _answer(reply: Reply) -> Answer:
    if reply.error:
        raise TryFailed(reply.error, in_doubt=reply.was_sent)
    retry_after = None if reply.retry_after is None else min(reply.retry_after, LONGEST_RETRY_AFTER_SECONDS)
    return judged(reply.status, reply.body, retry_after)


def _narrow(window: Window, reply: Reply, failure: TryFailed) -> None:
    now = time.monotonic()
    if reply.status == 429 or failure.retry_after:
        window.throttled(failure.retry_after, now=now)
    else:
        window.failed(now=now)


@per_process
def loop() -> Loop:
    return Loop()


def exists() -> bool:
    """Whether this process has a loop already."""
    return loop.exists()


@atexit.register
def _stop_at_exit() -> None:
    """Before the interpreter unloads libcurl."""
    if exists():
        loop().stop()
