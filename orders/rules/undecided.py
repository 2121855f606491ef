"""What the customer, the bank or an operator decides later makes of a journey. Without I/O."""

from typing import TYPE_CHECKING

from orders.events import EventType
from orders.legs import PAYMENT, holding
from orders.rules.leg_types import Leg, Wait
from orders.rules.refundable import Refundable

# In an attention that stays when the order goes on, until the amount is recorded as paid back.
BY_HAND = "pay it back by hand"


class Undecided(Refundable):
    """A journey whose payment may be decided later, and disputed."""

    __slots__ = ()

    if TYPE_CHECKING:

        def _flag(self, why: str, *, details: str = "") -> None: ...
        def wait_for(self, wait: Wait) -> None: ...
        def is_last(self, leg: Leg) -> bool: ...
        @property
        def is_processing(self) -> bool: ...
        @property
        def is_cancelling(self) -> bool: ...
        @property
        def is_refused(self) -> bool: ...

    def undecided(self, wait: Wait, *, check_in: float) -> None:
        """The customer or the bank decides later; no attempt. `check_in`: seconds until it is looked up.

        With other legs to do it stays in its batch, which settles it.
        """
        self.wait_for(wait)
        self.attempts, self.has_news = 0, True
        if self.is_processing and self.is_refused:
            self.reschedule_in(0)
        elif not self._has_others_to_do(PAYMENT):
            self.reschedule_in(check_in)
        elif self.batch_id is None:
            self.reschedule_in(min(check_in, wait.retry_seconds or check_in))

    def decided_meanwhile(self) -> None:
        """A webhook was faster than the answer to a look-up: due at once, to read the ledger."""
        if self.wait is not None and self.wait.is_patient:
            self.wait = None
        self.no_capacity()

    def call_for_attention(self, why: str) -> None:
        """Flag it, without stopping it."""
        if not self.attention:
            self._flag(why)

    def owes_by_hand(self, why: str) -> None:
        """Flag what has to be paid back by hand, without stopping it. `why` contains BY_HAND."""
        if not self.attention or (BY_HAND in self.attention and self.attention != why):
            self._flag(why)

    def paid_back(self) -> None:
        """Clear the flag of what had to be paid back by hand."""
        if BY_HAND in self.attention:
            self.attention = ""
            self._note(EventType.RETRIED, why="paid_back")

    def _has_others_to_do(self, leg: Leg) -> bool:
        """Whether another leg is to be tried, or reversed."""
        if self.is_cancelling:
            return any(other is not leg for other in holding(self))
        return self.is_processing and not self.is_last(leg)
