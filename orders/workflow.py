"""Rules of an order's journey, without I/O; `orders.journal` saves it. Its legs: `orders.legs`."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from orders.events import NO_PROGRESS, EventType
from orders.legs import (
    BY_NAME,
    LOST_STEP,
    OTHERS,
    PAYMENT,
    SHIPPING,
    STOCK,
    WAITS,
    WAITS_OUTSIDE,
    WEIGHT_OF,
    are_good,
    holding,
    states_of,
)
from orders.rules.leg_types import Leg, Mark, State, Wait
from orders.rules.schedule import MAX_COUNTED_ATTEMPTS, Schedule
from orders.status import (
    TRANSITIONS,
    UNDONE,
    WITH_LEGS_UNDER_WAY,
    IllegalMove,
    Status,
    has_ended,
    may_be_retried,
)

# Seconds; cap of the exponential back-off.
LONGEST_WAIT = 60.0
# Attempts until escalation.
MAX_QUIET_ATTEMPTS = 8
# In an attention that stays when the order goes on, until the amount is recorded as paid back.
BY_HAND = "pay it back by hand"


class Event(NamedTuple):
    """An event, not yet saved."""

    order_id: int
    sequence: int
    type: EventType
    progress: int
    data: dict[str, Any]


@dataclass(slots=True)
class JourneyState(Schedule):
    """A journey under lock: where each leg stands, and what follows for the order."""

    stock: State = STOCK.PENDING
    shipping: State = SHIPPING.PENDING
    payment: State = PAYMENT.PENDING
    shipping_amount: Decimal | None = None
    outcome: str = ""
    reason: str = ""
    completion_requested: bool = False
    wait: Wait | None = None
    attention: str = ""
    events: list[Event] = field(default_factory=list, init=False)

    # --- Queries -----------------------------------------------------------------------------------------

    @property
    def progress(self) -> int:
        if self.status in WITH_LEGS_UNDER_WAY:
            return 10 + WEIGHT_OF[states_of(self)]
        return 0 if self.status is Status.PENDING else 100

    @property
    def has_changed(self) -> bool:
        return bool(self.events) or self.reschedule or self.has_news

    @property
    def is_processing(self) -> bool:
        return self.status is Status.PROCESSING

    @property
    def is_cancelling(self) -> bool:
        return self.status is Status.CANCELLING

    @property
    def is_refused(self) -> bool:
        for state in states_of(self):  # noqa: SIM110 - hot path: a generator costs more
            if state.is_refused:
                return True
        return False

    def may_be_tried(self, leg: Leg) -> bool:
        """Whether to try a leg; its provider is not called for a refused order."""
        return (
            self.status is Status.PROCESSING
            and getattr(self, leg.name).is_to_try
            and (not leg.after or are_good(leg.after, self))
            and not (leg.provider and self.is_refused)
        )

    @property
    def moves_money(self) -> bool:
        """Whether captures by staff, or credits, of a confirmed order are to be carried out."""
        is_moving = self.payment is PAYMENT.REFUNDING or self.payment is PAYMENT.MOVING
        return is_moving and self.status in (Status.CONFIRMED, Status.COMPLETED)

    def may_be_reversed(self, leg: Leg) -> bool:
        return self.status is Status.CANCELLING and self.holds(leg)

    def holds(self, leg: Leg) -> bool:
        """Whether a leg has, or may have, something to reverse."""
        return leg in holding(self)

    def only_needs(self, leg: Leg) -> bool:
        return are_good(OTHERS[leg], self)

    def is_last(self, leg: Leg) -> bool:
        for other in OTHERS[leg]:  # noqa: SIM110 - hot path: a generator costs more
            if getattr(self, other.name).is_to_try:
                return False
        return True

    @property
    def may_be_captured(self) -> bool:
        return self.is_processing and self.payment is PAYMENT.AUTHORIZED and self.only_needs(PAYMENT)

    @property
    def may_be_retried(self) -> bool:
        return may_be_retried(self.status, is_due=self.is_due, attention=self.attention)

    @property
    def waiting_for(self) -> str:
        """What it waits for: of several, one that is in no state, then in the order of LEGS."""
        if self.wait is not None and self.wait is not LOST_STEP:
            return self.wait
        for state in states_of(self):
            if state.wait is not None:
                return str(state.wait)
        return self.wait or ""

    @property
    def waits_for_provider(self) -> bool:
        return self.waiting_for in WAITS_OUTSIDE

    # --- Outcomes of legs ----------------------------------------------------------------------------------

    def enter(self, state: State, *, reason: str = "", **data: Any) -> None:
        """Move a leg to a state. `reason`: of a refusal, by default its event."""
        is_new = getattr(self, state.leg) is not state
        setattr(self, state.leg, state)
        self.has_news = self.has_news or is_new
        if self.wait is not None and self.wait.leg in ("", state.leg):
            self.wait = None
        if state.is_refused:
            reason = reason or str(state.event)
            self.reason = self.reason or reason
            data = {"reason": reason} | data
        if state.wait is not None and is_new:
            self.note(EventType.WAITING, waiting_for=str(state.wait))
        elif state.event:
            self.note(state.event, **data)

    def shipping_quoted(self, amount: Decimal, *, goods: Decimal) -> None:
        """The total is final: `goods`, with adjustments, and shipping. Of a total of 0 there is nothing to pay."""
        self.shipping_amount = amount
        self.enter(SHIPPING.QUOTED, amount=str(amount))
        if not goods + amount:
            self.enter(PAYMENT.FREE)

    def capture_declined(self, code: str) -> None:
        """Reverse: the authorization may still stand."""
        reason = code or "capture_declined"
        self.reason = self.reason or reason
        self.note(EventType.CAPTURE_DECLINED, reason=reason)
        self.undo(outcome=Status.REJECTED)

    def payment_arrived_late(self, state: State = PAYMENT.AUTHORIZED) -> None:
        """Reverse a late payment."""
        self.payment, self.outcome = state, self.outcome or Status.CANCELLED
        self.reschedule_in(0)
        if not self.is_cancelling:
            self._move(Status.CANCELLING)
            self.note(EventType.PAYMENT_ARRIVED_LATE)

    @property
    def has_no_money(self) -> bool:
        is_refused = self.is_processing and self.payment is PAYMENT.REFUSED
        return is_refused or (self.status in UNDONE and not self.holds(PAYMENT))

    def money_returned(self, state: State) -> None:
        self.wait = None
        self.enter(state, **({"how": state.code} if state.event else {}))

    @property
    def needs_approval(self) -> bool:
        return self.is_processing and any(state.approved_as for state in states_of(self))

    def approve(self) -> None:
        for state in states_of(self):
            if state.approved_as:
                self.enter(BY_NAME[state.leg].states[state.approved_as], approved=True)
                self.attention, self.attempts = "", 0
                self.reschedule_in(0)

    # --- Transitions ---------------------------------------------------------------------------------------

    def claimed(self, *, lease: float) -> None:
        """Claim it for `lease` seconds."""
        self.defer(lease)
        self.attempts = min(self.attempts + 1, MAX_COUNTED_ATTEMPTS)
        if self.wait is LOST_STEP:
            self.wait = None
        if self.status is Status.PENDING:
            self._move(Status.PROCESSING)
            self.note(EventType.STARTED)

    def settle(self) -> None:
        if self.is_processing and self.is_refused:
            self.undo(outcome=Status.REJECTED)
        elif self.is_processing and self._is_paid:
            self.confirm()
        elif self.is_processing and (undecided := self._only_needs_approval()):
            self.escalate(undecided.words)
        elif self.is_cancelling and not holding(self):
            self._end(Status(self.outcome))
        elif self.found_no_capacity and not self.waiting_for:
            self.reschedule_in(0)
        else:
            self.back_off()

    def confirm(self) -> None:
        self._move(Status.CONFIRMED)
        kept = self.attention if BY_HAND in self.attention else ""
        self._finish()
        self.note(EventType.CONFIRMED, **({"capture": "later"} if self.payment is PAYMENT.HELD else {}))
        if kept:
            self._flag(kept)
        if self.completion_requested:
            self.reschedule_in(0)

    def complete(self) -> None:
        self._move(Status.COMPLETED)
        self.stock = STOCK.SOLD
        attention = self.attention if self.moves_money or BY_HAND in self.attention else ""
        self._finish()
        self.note(EventType.COMPLETED)
        if self.moves_money:
            self.reschedule_in(0)
        if attention:
            self._flag(attention)

    def request_completion(self) -> None:
        """Complete it once confirmed."""
        if not self.completion_requested:
            self.completion_requested = True
            self.note(EventType.COMPLETION_REQUESTED)

    def release(self) -> None:
        self.reschedule_in(0)
        self.note(EventType.RELEASED)

    def undo(self, *, outcome: Status, reason: str = "") -> None:
        """End with `outcome`, after compensation."""
        self.outcome, self.reason = outcome.value, reason or self.reason
        self._stop_waiting()
        if not holding(self):
            self._end(outcome)
            return
        self._move(Status.CANCELLING)
        self.reschedule_in(0)
        self.note(EventType.CANCELLATION_STARTED, reason=self.reason, outcome=outcome.value)

    # --- Time ----------------------------------------------------------------------------------------------

    def wait_for(self, wait: Wait) -> None:
        """Record a wait that is in no leg's state, once per cause."""
        if self.wait is not wait:
            self.note(EventType.WAITING, waiting_for=str(wait))
            self.wait = wait

    def back_off(self) -> None:
        """Reschedule by what it waits for; with nothing to wait for, a step was lost."""
        if not self.waiting_for:
            self.wait_for(LOST_STEP)
        wait = WAITS[self.waiting_for]
        if wait.retry_seconds is not None:
            self.attempts = 0
            self.reschedule_in(wait.retry_seconds)
            return
        if self.attempts >= MAX_QUIET_ATTEMPTS and not self.attention:
            self._flag(f"{wait} for {self.attempts} attempts")
        self.reschedule_in(min(LONGEST_WAIT, 2.0 ** (self.attempts - 1)))

    def escalate(self, why: str, *, details: str = "") -> None:
        """Stop; it needs attention."""
        self.rest()
        self._flag(why, details=details)

    def call_for_attention(self, why: str, *, details: str = "") -> None:
        """Flag it, without stopping it."""
        if not self.attention:
            self._flag(why, details=details)

    def owes_by_hand(self, why: str) -> None:
        """Flag what has to be paid back by hand, without stopping it. `why` contains BY_HAND."""
        if not self.attention or (BY_HAND in self.attention and self.attention != why):
            self._flag(why)

    def paid_back(self) -> None:
        """Clear the flag of what had to be paid back by hand."""
        if BY_HAND in self.attention:
            self.attention = ""
            self.note(EventType.RETRIED, why="paid_back")

    def overdue(self, deadline: timedelta) -> None:
        minutes = int(deadline.total_seconds() // 60)
        self.call_for_attention(f"{self.waiting_for or self.status.value} for over {minutes} minutes")

    def audit_failed(self, promise: str, *, details: str) -> None:
        self.call_for_attention(f"the audit found it wrong: {promise}", details=details)

    def resolve(self, beginning: str, *, why: str) -> None:
        """Clear a flag that begins so."""
        if self.attention.startswith(beginning):
            self.attention = ""
            self.note(EventType.RETRIED, why=why)

    def retry(self) -> None:
        """Clear the attention and resume."""
        self.attention, self.attempts = "", 0
        if self.moves_money or not has_ended(self.status, completion_requested=self.completion_requested):
            self.reschedule_in(0)
        self.note(EventType.RETRIED)

    def rest(self) -> None:
        """Not due, without batch, waiting for nothing in particular."""
        Schedule.rest(self)
        self.wait = None

    # --- Internals -----------------------------------------------------------------------------------------

    @property
    def _is_paid(self) -> bool:
        """Whether nothing is left to do: a capture comes last; what is free or captured by staff is known early."""
        is_early = self.payment is PAYMENT.FREE or self.payment is PAYMENT.HELD
        return self.payment is PAYMENT.CAPTURED or (is_early and self.only_needs(PAYMENT))

    def _only_needs_approval(self) -> State | None:
        for state in states_of(self):
            if state.mark is Mark.PERSON and self.only_needs(BY_NAME[state.leg]):
                return state
        return None

    def _stop_waiting(self) -> None:
        """End waits in which nothing was sent; what was sent may still be answered."""
        for state in states_of(self):
            if state.mark is Mark.AWAY:
                setattr(self, state.leg, BY_NAME[state.leg].PENDING)
        if self.wait is not None and self.wait.is_patient:
            self.wait = None

    def _finish(self) -> None:
        self.rest()
        self.attention = ""

    def _end(self, status: Status) -> None:
        self._move(status)
        self._finish()
        self.note(
            EventType.CANCELLED if status is Status.CANCELLED else EventType.REJECTED, reason=self.reason
        )

    def _move(self, target: Status) -> None:
        if target not in TRANSITIONS[self.status]:
            raise IllegalMove(self.order_id, self.status, target)
        self.status = target

    def _flag(self, why: str, *, details: str = "") -> None:
        self.attention = why[:200]
        self.note(EventType.ATTENTION_NEEDED, why=why, details=details[-4000:])

    def note(self, event: EventType, **data: Any) -> None:
        self.sequence += 1
        if self.attempts > 1 and event not in NO_PROGRESS:
            self.attempts = 1
        self.events.append(Event(self.order_id, self.sequence, event, self.progress, data))
