"""The simulated broker and its workers: canvases as messages that are lost, doubled, late and out of order."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from celery import Signature, chord
from celery.canvas import _chain
from django.db import OperationalError
from kombu.exceptions import OperationalError as BrokerError

from faults.script import Planned
from orders import batches, steps
from orders.batches import Claimed, Paused, Progress, Route
from orders.legs import LEGS
from tests.simulation.actors import Clock
from tests.simulation.dice import Dice


@dataclass(frozen=True, slots=True)
class Chain:
    """One after the other."""

    tasks: "tuple[Plan, ...]"


@dataclass(frozen=True, slots=True)
class Chord:
    """Side by side, and then the body."""

    legs: "tuple[Plan, ...]"
    body: "Plan"


Plan = str | Chain | Chord
Next = Callable[[], None]

OF_LEGS = {leg.task(step): step for leg in LEGS for step in (leg.step, leg.way_back) if step}
STEPS = OF_LEGS | {
    "payments.capture_payment": "capture_payment",
    "orders.settle": "settle",
    "orders.complete": "complete",
    "payments.refund_credits": "refund_credits",
}


@lru_cache
def plan_of(route: Route) -> Plan:
    """Return the shape of the canvas that batches of a route really travel on."""
    return _plan(batches.canvas(Claimed(0, route, [])))


def _plan(canvas: Signature) -> Plan:
    if isinstance(canvas, chord):
        return Chord(tuple(_plan(leg) for leg in canvas.tasks), _plan(canvas.body))
    if isinstance(canvas, _chain):
        return Chain(tuple(_plan(task) for task in canvas.tasks))
    return str(canvas.task)


class Broker:
    """Carries batches from step to step, badly."""

    def __init__(self, clock: Clock, dice: Dice) -> None:
        self._clock, self._dice = clock, dice

    def send(self, claimed: Claimed) -> None:
        """Stand in for `batches.send`."""
        if self._dice.happens("send_fails"):
            raise BrokerError("the broker is away")
        self._go(plan_of(claimed.route), claimed, lambda: None)

    def _go(self, plan: Plan, claimed: Claimed, then: Next) -> None:
        if isinstance(plan, str):
            self._deliver(plan, claimed, then)
        elif isinstance(plan, Chain):
            self._go_through(plan.tasks, claimed, then)
        else:
            self._go_side_by_side(plan, claimed, then)

    def _go_through(self, plans: tuple[Plan, ...], claimed: Claimed, then: Next) -> None:
        first, rest = plans[0], plans[1:]
        self._go(first, claimed, (lambda: self._go_through(rest, claimed, then)) if rest else then)

    def _go_side_by_side(self, plan: Chord, claimed: Claimed, then: Next) -> None:
        open_legs = [len(plan.legs)]

        def arrived() -> None:
            open_legs[0] -= 1
            early = open_legs[0] > 0 and self._dice.happens("body_early")
            if open_legs[0] == 0 or early:
                self._go(plan.body, claimed, then)

        for leg in plan.legs:
            self._go(leg, claimed, arrived)

    def _deliver(self, task: str, claimed: Claimed, then: Next) -> None:
        copies = 2 if self._dice.happens("message_twice") else 1
        for _ in range(copies):
            if self._dice.happens("message_lost"):
                continue
            delay = 0.002 + 0.03 * self._dice.random()
            if self._dice.happens("message_late"):
                delay = self._dice.uniform(0.5, 40)
            self._clock.start(task, lambda: self._work(task, claimed, then), after=delay)

    def _work(self, task: str, claimed: Claimed, then: Next, progress: Progress | None = None) -> None:
        """Deliver the message to a worker; one that dies requeues or loses it, one that pauses requeues it."""
        done = False
        try:
            getattr(steps, STEPS[task])(batch_id=claimed.batch_id, progress=progress or Progress())
            done = True
        except Paused as pause:
            done, progress = True, pause.progress
            self._clock.start(task, lambda: self._work(task, claimed, then, progress), after=0.002)
            return
        except (OperationalError, Planned):
            return
        finally:
            if not done and not self._dice.calm and self._dice.random() < 0.5:
                again = self._dice.choice((0.5, 2, 15))
                self._clock.start(task, lambda: self._work(task, claimed, then, progress), after=again)
        then()
