"""Rules of an order's journey, without I/O; `orders.journal` saves it."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """An order's status."""

    PENDING = "pending"  # held or due
    PROCESSING = "processing"  # legs in flight
    CONFIRMED = "confirmed"  # stock reserved, payment captured
    COMPLETED = "completed"  # handed over
    CANCELLING = "cancelling"  # compensation in flight
    CANCELLED = "cancelled"  # by command
    REJECTED = "rejected"  # by a leg


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.CONFIRMED, Status.CANCELLING, Status.CANCELLED, Status.REJECTED}),
    Status.CONFIRMED: frozenset({Status.COMPLETED, Status.CANCELLING}),
    # When its goods come back.
    Status.COMPLETED: frozenset({Status.CANCELLING}),
    Status.CANCELLING: frozenset({Status.CANCELLED, Status.REJECTED}),
    # For late payments.
    Status.CANCELLED: frozenset({Status.CANCELLING}),
    Status.REJECTED: frozenset({Status.CANCELLING}),
}

UNDER_WAY = frozenset({Status.PENDING, Status.PROCESSING, Status.CANCELLING})


class Leg(StrEnum):
    """State of a leg."""

    PENDING = ""  # not tried, or outcome unknown
    REFUSED = "refused"  # out of stock, undeliverable, declined
    SHORT = "short"  # stock: queued for units
    # Stock:
    RESERVED = "reserved"
    RELEASED = "released"
    SOLD = "sold"
    # Shipping:
    QUOTED = "quoted"
    # Payment:
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    REFUNDING = "refunding"  # captured; credits are to be refunded
    VOIDED = "voided"
    REFUNDED = "refunded"
    NOT_NEEDED = "nothing"  # to reverse


class EventType(StrEnum):
    """Types of events."""

    PLACED = "order_placed"
    RELEASED = "order_released"  # from hold
    STARTED = "processing_started"
    STOCK_RESERVED = "stock_reserved"
    STOCK_REFUSED = "stock_refused"
    SHIPPING_QUOTED = "shipping_quoted"
    SHIPPING_REFUSED = "shipping_refused"
    PAYMENT_AUTHORIZED = "payment_authorized"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_CAPTURED = "payment_captured"
    CAPTURE_DECLINED = "capture_declined"
    CONFIRMED = "order_confirmed"
    COMPLETION_REQUESTED = "completion_requested"
    COMPLETED = "order_completed"
    REFUND_REQUESTED = "refund_requested"  # a part of the order's money
    REFUND_SUCCEEDED = "refund_succeeded"
    REFUND_FAILED = "refund_failed"
    CANCELLATION_STARTED = "cancellation_started"
    STOCK_RELEASED = "stock_released"
    MONEY_RETURNED = "money_returned"
    PAYMENT_ARRIVED_LATE = "payment_arrived_late"
    CANCELLED = "order_cancelled"
    REJECTED = "order_rejected"
    WAITING = "order_waiting"
    ATTENTION_NEEDED = "attention_needed"
    RETRIED = "order_retried"


# Other events leave the status.
STATUS_AFTER: dict[EventType, Status] = {
    EventType.PLACED: Status.PENDING,
    EventType.STARTED: Status.PROCESSING,
    EventType.CONFIRMED: Status.CONFIRMED,
    EventType.COMPLETED: Status.COMPLETED,
    EventType.CANCELLATION_STARTED: Status.CANCELLING,
    EventType.PAYMENT_ARRIVED_LATE: Status.CANCELLING,
    EventType.CANCELLED: Status.CANCELLED,
    EventType.REJECTED: Status.REJECTED,
}


class Wait(StrEnum):
    """Why an order is due later."""

    NONE = ""
    PAYMENT_PROVIDER = "payment_provider"  # unreachable: nothing was sent
    PAYMENT_OUTCOME = "payment_outcome"  # sent, outcome unknown
    LOST_STEP = "lost_step"
    STOCK = "stock_reserved_by_others"  # unpaid orders hold the units


# Seconds; cap of the exponential back-off.
LONGEST_WAIT = 60.0
# While the provider is known to be down.
PROVIDER_WAIT = 5.0
# Fallback: `orders.waits.shortages` wakes orders.
STOCK_WAIT = 10.0
UNCOUNTED_WAITS = {Wait.PAYMENT_PROVIDER: PROVIDER_WAIT, Wait.STOCK: STOCK_WAIT}
# Attempts until escalation.
MAX_QUIET_ATTEMPTS = 8
# An order may wait for weeks.
MAX_COUNTED_ATTEMPTS = 1_000

# Do not reset `attempts`.
NO_PROGRESS = frozenset({EventType.WAITING, EventType.ATTENTION_NEEDED})

# Percent that each leg contributes.
PROGRESS = dict.fromkeys(Leg, 0) | {
    Leg.RESERVED: 30,
    Leg.QUOTED: 15,
    Leg.AUTHORIZED: 25,
    Leg.CAPTURED: 40,
    Leg.REFUNDING: 40,
}
WITH_LEGS_UNDER_WAY = frozenset({Status.PROCESSING, Status.CANCELLING})


class IllegalMove(Exception):
    """A transition outside TRANSITIONS: a defect."""

    def __init__(self, order_id: int, source: Status, target: Status) -> None:
        super().__init__(f"Order {order_id} cannot go from {source} to {target}.")
        self.order_id, self.source, self.target = order_id, source, target


def has_ended(status: Status | str, *, completion_requested: bool) -> bool:
    """Return whether an order is final."""
    return status not in UNDER_WAY and not (status == Status.CONFIRMED and completion_requested)


def may_be_retried(status: Status | str, *, is_due: bool, attention: str) -> bool:
    """Return whether a retry has an effect; it is always safe."""
    is_held = status == Status.PENDING and not is_due
    return not is_held and (status in UNDER_WAY or bool(attention))


@dataclass(slots=True)
class Event:
    """An event, not yet saved."""

    order_id: int
    sequence: int
    type: EventType
    progress: int
    data: dict[str, Any]


@dataclass(slots=True)
class JourneyState:
    """A journey under lock. `due_in`: seconds, None at rest."""

    order_id: int
    status: Status
    sequence: int
    batch_id: int | None = None
    attempts: int = 0
    stock: Leg = Leg.PENDING
    shipping: Leg = Leg.PENDING
    payment: Leg = Leg.PENDING
    shipping_amount: Decimal | None = None
    outcome: str = ""
    reason: str = ""
    completion_requested: bool = False
    waiting_for: str = ""
    attention: str = ""
    is_due: bool = False
    # Consecutive expired batches that a worker had started.
    losses: int = 0
    due_in: float | None = None
    reschedule: bool = False
    events: list[Event] = field(default_factory=list)

    # --- Queries -----------------------------------------------------------------------------------------

    @property
    def progress(self) -> int:
        """Progress in percent."""
        if self.status in WITH_LEGS_UNDER_WAY:
            return 10 + PROGRESS[self.stock] + PROGRESS[self.shipping] + PROGRESS[self.payment]
        return 0 if self.status is Status.PENDING else 100

    @property
    def has_changed(self) -> bool:
        """Whether to save it."""
        return bool(self.events) or self.reschedule

    @property
    def is_refused(self) -> bool:
        """Whether a leg was refused."""
        return Leg.REFUSED in (self.stock, self.shipping, self.payment)

    @property
    def wants_stock(self) -> bool:
        """Whether to reserve stock."""
        return self.is_processing and self.stock in (Leg.PENDING, Leg.SHORT)

    @property
    def may_be_charged(self) -> bool:
        """Whether to authorize the payment."""
        return (
            self.is_processing
            and self.shipping is Leg.QUOTED
            and self.payment is Leg.PENDING
            and not self.is_refused
        )

    @property
    def may_be_captured(self) -> bool:
        """Whether to capture: the fan-in succeeded."""
        return self.is_processing and (self.stock, self.shipping, self.payment) == (
            Leg.RESERVED,
            Leg.QUOTED,
            Leg.AUTHORIZED,
        )

    @property
    def is_held(self) -> bool:
        """Whether it is on hold."""
        return self.status is Status.PENDING and not self.is_due

    @property
    def may_be_retried(self) -> bool:
        """See `may_be_retried`."""
        return may_be_retried(self.status, is_due=self.is_due, attention=self.attention)

    @property
    def is_processing(self) -> bool:
        """Whether its legs may run."""
        return self.status is Status.PROCESSING

    @property
    def waits_for_provider(self) -> bool:
        """Whether the provider delays it."""
        return self.waiting_for in (Wait.PAYMENT_PROVIDER, Wait.PAYMENT_OUTCOME)

    @property
    def tries(self) -> int:
        """Suspicious attempts: worker crashes only, while it waits for the provider."""
        return self.losses if self.waits_for_provider else self.attempts

    @property
    def is_cancelling(self) -> bool:
        """Whether compensation is in flight."""
        return self.status is Status.CANCELLING

    @property
    def holds_stock(self) -> bool:
        """Whether it has units."""
        return self.stock in (Leg.RESERVED, Leg.SOLD)

    @property
    def may_hold_money(self) -> bool:
        """Whether the provider may have money: nothing is sent before the quote."""
        is_quoted = self.shipping is Leg.QUOTED
        return is_quoted and self.payment in (Leg.PENDING, Leg.AUTHORIZED, Leg.CAPTURED, Leg.REFUNDING)

    @property
    def owes_refunds(self) -> bool:
        """Whether credits of a confirmed order are to be refunded."""
        return self.payment is Leg.REFUNDING and self.status in (Status.CONFIRMED, Status.COMPLETED)

    @property
    def has_no_money(self) -> bool:
        """Whether it is undone without a known payment."""
        return (
            self.status in (Status.CANCELLING, Status.CANCELLED, Status.REJECTED) and not self.may_hold_money
        )

    @property
    def money_to_return(self) -> bool:
        """Whether to reverse the payment."""
        return self.is_cancelling and self.may_hold_money

    # --- Outcomes of legs ----------------------------------------------------------------------------------

    def stock_reserved(self) -> None:
        """All units are reserved."""
        self._leave_queue()
        self.stock = Leg.RESERVED
        self._note(EventType.STOCK_RESERVED)

    def stock_short(self) -> None:
        """Queue for units; the first event bounds the wait."""
        if self.stock is not Leg.SHORT:
            self.stock = Leg.SHORT
            self._note(EventType.WAITING, waiting_for=Wait.STOCK.value)
            if not self.waits_for_provider:
                self.waiting_for = Wait.STOCK

    def stock_refused(self, shortages: list[dict[str, Any]]) -> None:
        """Units are missing."""
        self._leave_queue()
        self.stock = Leg.REFUSED
        self._refuse("out_of_stock", EventType.STOCK_REFUSED, shortages=shortages)

    def shipping_quoted(self, amount: Decimal) -> None:
        """The total is final."""
        self.shipping, self.shipping_amount = Leg.QUOTED, amount
        self._note(EventType.SHIPPING_QUOTED, amount=str(amount))

    def shipping_refused(self, code: str) -> None:
        """Shipping is not possible."""
        self.shipping = Leg.REFUSED
        self._refuse(code, EventType.SHIPPING_REFUSED)

    def payment_authorized(self) -> None:
        """The amount is authorized."""
        self.payment = Leg.AUTHORIZED
        if self.waiting_for != Wait.STOCK:
            self.waiting_for = Wait.NONE
        self._note(EventType.PAYMENT_AUTHORIZED)

    def payment_declined(self, code: str) -> None:
        """The provider declined."""
        self.payment = Leg.REFUSED
        self._refuse(code or "payment_declined", EventType.PAYMENT_DECLINED)

    def payment_captured(self) -> None:
        """The amount is captured."""
        self.payment, self.waiting_for = Leg.CAPTURED, Wait.NONE
        self._note(EventType.PAYMENT_CAPTURED)

    def capture_declined(self, code: str) -> None:
        """Reverse: the authorization may still stand."""
        self._refuse(code or "capture_declined", EventType.CAPTURE_DECLINED)
        self.undo(outcome=Status.REJECTED)

    def payment_arrived_late(self, leg: Leg = Leg.AUTHORIZED) -> None:
        """Reverse a late payment."""
        has_ended = not self.is_cancelling
        self.payment, self.outcome = leg, self.outcome or Status.CANCELLED
        self.reschedule_in(0)
        if has_ended:
            self._move(Status.CANCELLING)
            self._note(EventType.PAYMENT_ARRIVED_LATE)

    def stock_released(self) -> None:
        """The units are released."""
        self.stock = Leg.RELEASED
        self._note(EventType.STOCK_RELEASED)

    def money_returned(self, how: Leg) -> None:
        """The payment is reversed."""
        self.payment, self.waiting_for = how, Wait.NONE
        if how is not Leg.NOT_NEEDED:
            self._note(EventType.MONEY_RETURNED, how=how.value)

    # --- Transitions ---------------------------------------------------------------------------------------

    def claimed(self, *, lease: float) -> None:
        """Claim it for `lease` seconds."""
        self.defer(lease)
        self.attempts = min(self.attempts + 1, MAX_COUNTED_ATTEMPTS)
        if self.waiting_for == Wait.LOST_STEP:
            self.waiting_for = Wait.NONE
        if self.status is Status.PENDING:
            self._move(Status.PROCESSING)
            self._note(EventType.STARTED)

    def batch_expired(self, *, before: int, was_started: bool) -> None:
        """Its batch expired, after `before` others; no attempt unless started."""
        if was_started:
            self.losses = min(before + 1, MAX_COUNTED_ATTEMPTS)
        else:
            self.losses, self.attempts = before, max(0, self.attempts - 1)

    def settle(self) -> None:
        """Apply the legs."""
        if self.is_processing and self.is_refused:
            self.undo(outcome=Status.REJECTED)
        elif self.is_processing and self.payment is Leg.CAPTURED:
            self.confirm()
        elif self.is_cancelling and not self.holds_stock and not self.may_hold_money:
            self._end(Status(self.outcome))
        else:
            self.wait()

    def confirm(self) -> None:
        """Confirm it."""
        self._move(Status.CONFIRMED)
        self._finish()
        self._note(EventType.CONFIRMED)
        if self.completion_requested:
            self.reschedule_in(0)

    def complete(self) -> None:
        """The goods are handed over."""
        self._move(Status.COMPLETED)
        self.stock = Leg.SOLD
        attention = self.attention if self.owes_refunds else ""
        self._finish()
        self._note(EventType.COMPLETED)
        if self.owes_refunds:
            self.reschedule_in(0)
        if attention:
            self._flag(attention)

    def request_completion(self) -> None:
        """Complete it once confirmed."""
        if not self.completion_requested:
            self.completion_requested = True
            self._note(EventType.COMPLETION_REQUESTED)

    # --- Refunds of parts ----------------------------------------------------------------------------------

    def refund_requested(self, *, credit: int, amount: Decimal, **data: Any) -> None:
        """A credit was granted: due now, unless it is due already for another."""
        is_under_way = self.owes_refunds and self.is_due and not self.attention
        self.payment = Leg.REFUNDING
        if not is_under_way:
            self.reschedule_in(0)
        self._note(EventType.REFUND_REQUESTED, credit=credit, amount=str(amount), **data)

    def refund_succeeded(self, *, credit: int, amount: Decimal) -> None:
        """A credit is refunded."""
        self.waiting_for = Wait.NONE
        self._note(EventType.REFUND_SUCCEEDED, credit=credit, amount=str(amount))

    def refund_failed(self, *, credit: int, amount: Decimal, code: str) -> None:
        """The provider refused a credit's refund, or reversed it."""
        self._note(EventType.REFUND_FAILED, credit=credit, amount=str(amount), reason=code)

    def refund_reversed(self, *, credit: int, amount: Decimal, code: str) -> None:
        """A credit's refund failed after it had succeeded: due for another attempt."""
        is_under_way = self.owes_refunds and self.is_due
        self.payment = Leg.REFUNDING
        if not is_under_way:
            self.reschedule_in(0)
        self._note(EventType.REFUND_FAILED, credit=credit, amount=str(amount), reason=code, reversed=True)

    def refunds_done(self, *, more: bool, failed: bool) -> None:
        """Go on with `more` credits, or rest; failed ones wait for an operator."""
        self.rest()
        if more:
            self.reschedule_in(0)
        elif not failed:
            self.payment = Leg.CAPTURED

    def release(self) -> None:
        """Release it from hold."""
        self.reschedule_in(0)
        self._note(EventType.RELEASED)

    def undo(self, *, outcome: Status, reason: str = "") -> None:
        """End with `outcome`, after compensation."""
        self.outcome, self.reason = outcome.value, reason or self.reason
        self._leave_queue()
        if not self.holds_stock and not self.may_hold_money:
            self._end(outcome)
            return
        self._move(Status.CANCELLING)
        self.reschedule_in(0)
        self._note(EventType.CANCELLATION_STARTED, reason=self.reason, outcome=outcome.value)

    # --- Time ----------------------------------------------------------------------------------------------

    def blocked(self, what: Wait) -> None:
        """Record a wait, once per cause."""
        if self.waiting_for != what:
            self._note(EventType.WAITING, waiting_for=what.value)
            self.waiting_for = what

    def undecided(self, *, check_in: float) -> None:
        """The provider or the customer decides later; no attempt. `check_in`: seconds until the next look-up."""
        self.blocked(Wait.PAYMENT_OUTCOME)
        self.attempts = 0
        self.reschedule_in(check_in)

    def no_capacity(self) -> None:
        """Due at once; no attempt."""
        self.attempts = 0
        self.reschedule_in(0)

    def wait(self) -> None:
        """Reschedule with back-off."""
        self.blocked(self._cause_of_wait())
        if self.waiting_for in UNCOUNTED_WAITS:
            self.attempts = 0
            self.reschedule_in(UNCOUNTED_WAITS[Wait(self.waiting_for)])
            return
        if self.attempts >= MAX_QUIET_ATTEMPTS and not self.attention:
            self._flag(f"{self.waiting_for} for {self.attempts} attempts")
        self.reschedule_in(min(LONGEST_WAIT, 2.0 ** (self.attempts - 1)))

    def escalate(self, why: str, *, details: str = "") -> None:
        """Stop; it needs attention."""
        self.rest()
        self._flag(why, details=details)

    def overdue(self, deadline: timedelta) -> None:
        """Flag it, without stopping it."""
        if not self.attention:
            minutes = int(deadline.total_seconds() // 60)
            self._flag(f"{self.waiting_for or self.status.value} for over {minutes} minutes")

    def audit_failed(self, promise: str, *, details: str) -> None:
        """Flag it, without stopping it."""
        if not self.attention:
            self._flag(f"the audit found it wrong: {promise}", details=details)

    def retry(self) -> None:
        """Clear the attention and resume."""
        self.attention, self.attempts = "", 0
        if self.owes_refunds or not has_ended(self.status, completion_requested=self.completion_requested):
            self.reschedule_in(0)
        self._note(EventType.RETRIED)

    def defer(self, seconds: float) -> None:
        """Due in `seconds`, in its batch."""
        self.reschedule, self.due_in = True, seconds

    def reschedule_in(self, seconds: float) -> None:
        """Due in `seconds`, without batch."""
        self.defer(seconds)
        self.batch_id = None

    def rest(self) -> None:
        """Not due, without batch."""
        self.reschedule, self.due_in, self.batch_id, self.attempts = True, None, None, 0
        self.waiting_for = Wait.NONE

    # --- Internals -----------------------------------------------------------------------------------------

    def _leave_queue(self) -> None:
        if self.stock is Leg.SHORT:
            self.stock = Leg.PENDING
        if self.waiting_for == Wait.STOCK:
            self.waiting_for = Wait.NONE

    def _cause_of_wait(self) -> Wait:
        if self.waits_for_provider:
            return Wait(self.waiting_for)
        return Wait.STOCK if self.stock is Leg.SHORT else Wait.LOST_STEP

    def _refuse(self, reason: str, event: EventType, **data: Any) -> None:
        self.reason = self.reason or reason
        self._note(event, reason=reason, **data)

    def _finish(self) -> None:
        self.rest()
        self.attention = ""

    def _end(self, status: Status) -> None:
        self._move(status)
        self._finish()
        self._note(
            EventType.CANCELLED if status is Status.CANCELLED else EventType.REJECTED, reason=self.reason
        )

    def _move(self, target: Status) -> None:
        if target not in TRANSITIONS[self.status]:
            raise IllegalMove(self.order_id, self.status, target)
        self.status = target

    def _flag(self, why: str, *, details: str = "") -> None:
        self.attention = why[:200]
        self._note(EventType.ATTENTION_NEEDED, why=why, details=details[-4000:])

    def _note(self, event: EventType, **data: Any) -> None:
        self.sequence += 1
        if event not in NO_PROGRESS:
            self.attempts = min(self.attempts, 1)
        self.events.append(Event(self.order_id, self.sequence, event, self.progress, data))
