"""What refunds of parts make of a confirmed order's journey. Without I/O; `orders.refunding` carries them out."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orders.events import EventType
from orders.legs import PAYMENT
from orders.rules.schedule import Schedule
from orders.status import Status

if TYPE_CHECKING:
    from orders.rules.leg_types import State, Wait


class Refundable(Schedule):
    """A journey whose payment may be refunded in parts."""

    __slots__ = ("attention", "payment", "wait")

    if TYPE_CHECKING:
        payment: State
        wait: Wait | None
        attention: str

        def _note(self, event: EventType, **data: Any) -> None: ...

    @property
    def owes_refunds(self) -> bool:
        """Whether credits of a confirmed order are to be refunded."""
        return self.payment is PAYMENT.REFUNDING and self.status in (Status.CONFIRMED, Status.COMPLETED)

    def refund_requested(self, *, credit: int, amount: Decimal, **data: Any) -> None:
        """A credit was granted: due now, unless it is due already for another."""
        is_under_way = self.owes_refunds and self.is_due and not self.attention
        self.payment = PAYMENT.REFUNDING
        if not is_under_way:
            self.reschedule_in(0)
        self._note(EventType.REFUND_REQUESTED, credit=credit, amount=str(amount), **data)

    def refund_succeeded(self, *, credit: int, amount: Decimal) -> None:
        """A credit is refunded."""
        self.wait = None
        self._note(EventType.REFUND_SUCCEEDED, credit=credit, amount=str(amount))

    def refund_failed(self, *, credit: int, amount: Decimal, code: str) -> None:
        """The provider refused a credit's refund, or reversed it."""
        self._note(EventType.REFUND_FAILED, credit=credit, amount=str(amount), reason=code)

    def refund_reversed(self, *, credit: int, amount: Decimal, code: str) -> None:
        """A credit's refund failed after it had succeeded: due for another attempt."""
        is_under_way = self.owes_refunds and self.is_due
        self.payment = PAYMENT.REFUNDING
        if not is_under_way:
            self.reschedule_in(0)
        self._note(EventType.REFUND_FAILED, credit=credit, amount=str(amount), reason=code, reversed=True)

    def refunds_done(self, *, more: bool, failed: bool) -> None:
        """Go on with `more` credits, or rest; failed ones wait for an operator."""
        self.rest()
        if more:
            self.reschedule_in(0)
        elif not failed:
            self.payment = PAYMENT.CAPTURED
