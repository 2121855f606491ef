"""Who runs when: cooperative processes on a simulated clock, in an order that the seed alone decides."""

import contextlib
import heapq
import random
from collections.abc import Callable
from itertools import count
from typing import Any

import greenlet


class Crash(BaseException):
    """The process is dead: no handler for errors sees this, and what it had not committed is gone."""


class Stuck(Exception):
    """Processes wait for each other for ever, or work for ever."""


class Actor(greenlet.greenlet):
    """A process at work, with its open transaction."""

    def __init__(self, clock: "Clock", name: str, work: Callable[[], None]) -> None:
        super().__init__(self._live, clock.hub)
        self.name, self.work = name, work
        self.transaction: Any = None  # of tests.simulation.database

    def _live(self) -> None:
        with contextlib.suppress(Crash):
            self.work()


class Clock:
    """Simulated time, in seconds, and the processes that live in it."""

    def __init__(self, dice: random.Random) -> None:
        self.now = 0.0
        self.hub = greenlet.getcurrent()
        self.current: Actor | None = None
        self._dice = dice
        self._ready: list[Actor] = []
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._waiting = 0

    def start(self, name: str, work: Callable[[], None], *, after: float = 0.0) -> None:
        """Have a process begin."""
        actor = Actor(self, name, work)
        if after:
            self.at(self.now + after, lambda: self._ready.append(actor))
        else:
            self._ready.append(actor)

    def at(self, moment: float, what: Callable[[], None]) -> None:
        """Have something happen at a moment."""
        heapq.heappush(self._timers, (moment, next(self._numbers), what))

    def give_way(self) -> None:
        """Let others run first."""
        assert self.current is not None
        self._ready.append(self.current)
        self.hub.switch()

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long."""
        actor = self.current
        assert actor is not None
        self.at(self.now + seconds, lambda: self._ready.append(actor))
        self.hub.switch()

    def wait_in(self, queue: list[Actor]) -> None:
        """Sleep until `wake` is called with this queue."""
        assert self.current is not None
        queue.append(self.current)
        self._waiting += 1
        self.hub.switch()

    def wake(self, queue: list[Actor]) -> None:
        """Let those who wait there run."""
        self._waiting -= len(queue)
        self._ready.extend(queue)
        queue.clear()

    def run(self, *, until: Callable[[], bool], most_turns: int) -> None:
        """Run until `until` says so, or nothing is left to do. Raises Stuck, and what a process raised."""
        ready, dice, turns = self._ready, self._dice, 0
        while True:
            while ready:
                place = int(dice.random() * len(ready))
                ready[place], ready[-1] = ready[-1], ready[place]
                self.current = ready.pop()
                self.current.switch()
                turns += 1
                if turns > most_turns:
                    raise Stuck("They work and work, and nothing comes of it.")
            self.current = None
            if until() or not self._timers:
                break
            self.now, _, what = heapq.heappop(self._timers)
            what()
        if self._waiting and not self._timers:
            raise Stuck("Processes wait for each other's locks.")
