"""The simulated desk: stands in for `orders.payment.handover` where it hands calls to the process's loop.

Each call is a process of its own, which may crash, freeze or be slow; answers are collected in groups by another.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import OperationalError

from faults.script import Planned
from orders.payment import answers
from orders.payment.answers import Answered
from payments import ledger
from payments.calls import Prepared
from providers.conversation import Conversation, hold

if TYPE_CHECKING:
    from tests.simulation.world import World

COLLECT_SECONDS = 0.01
DATABASE_PAUSE = 0.5


def held(conversation: Conversation[Any]) -> Any:
    """Hold a conversation that makes no call by itself."""
    return hold(conversation, lambda _call: None)


class Desk:
    """Hands calls over, and collects their answers."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._answered: list[Answered] = []
        self._under_way: set[int] = set()
        self._renewed: set[int] = set()  # orders with a renewal in the clock's timers

    def room(self, wanted: int, _until: float, **_how: object) -> int:
        """Return how many calls may be handed over: now and then few, or none."""
        dice = self._world.dice
        if dice.happens("crowded"):
            return dice.choice((0, 1, wanted // 2))
        return wanted

    def submit(self, calls: Sequence[Prepared], **_how: object) -> None:
        """Begin the calls."""
        for call in calls:
            self._under_way.add(call.request.order_id)
            self._world.clock.start("call", partial(self._make, call), after=0.001)
            if call.request.order_id not in self._renewed:
                self._renew_later(call.request.order_id)

    def _make(self, call: Prepared) -> None:
        ended = False
        try:
            if self._world.dice.happens("slow"):
                self._world.clock.sleep(self._world.dice.uniform(2, 20))
            outcome = held(ledger.asking(call))
            ended = True
        except Planned as error:
            outcome, ended = error, True
        finally:
            if not ended:  # its process is dead, and renews nothing any more
                self._under_way.discard(call.request.order_id)
        if not self._answered:
            self._world.clock.start("collector", self._collect, after=COLLECT_SECONDS)
        self._answered.append(Answered(call, outcome))

    def _collect(self) -> None:
        group, self._answered = self._answered, []
        try:
            while group:
                try:
                    captures = self._take(group)
                except OperationalError:
                    self._world.clock.sleep(DATABASE_PAUSE)
                else:
                    break
        finally:
            self._under_way.difference_update(answer.prepared.request.order_id for answer in group)
        self.submit(captures)

    def _take(self, group: list[Answered]) -> list[Prepared]:
        try:
            return answers.take(group)
        except Planned as error:
            if len(group) == 1:
                answers.escalate(group[0], error)
                return []
        middle = len(group) // 2
        return self._take(group[:middle]) + self._take(group[middle:])

    def _renew_later(self, order_id: int) -> None:
        clock = self._world.clock
        self._renewed.add(order_id)
        clock.at(clock.now + answers.call_lease() / 3, lambda: self._renew(order_id))

    def _renew(self, order_id: int) -> None:
        self._renewed.discard(order_id)
        if order_id in self._under_way:
            self._world.database.renew(order_id, answers.call_lease())
            self._renew_later(order_id)
