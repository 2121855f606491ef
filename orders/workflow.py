"""The rules of an order's journey, as pure data and functions: no database, no clock, no network.

`JourneyState` is a journey as it was read under lock, plus what has happened to it since. Each of its verbs
is one thing that can happen; it changes the state and notes the event. `orders.journal` saves both at once.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """Where an order stands."""

    PENDING = "pending"  # stored; held, or waiting for the dispatcher
    PROCESSING = "processing"  # its legs are under way
    CONFIRMED = "confirmed"  # stock held, money taken
    COMPLETED = "completed"  # handed over; its units are sold
    CANCELLING = "cancelling"  # stock and money are being given back
    CANCELLED = "cancelled"  # somebody called it off; nothing is held any more
    REJECTED = "rejected"  # a leg refused it; nothing is held any more


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.PROCESSING, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.CONFIRMED, Status.CANCELLING, Status.CANCELLED, Status.REJECTED}),
    Status.CONFIRMED: frozenset({Status.COMPLETED, Status.CANCELLING}),
    # A completed order is cancelled when its goods come back.
    Status.COMPLETED: frozenset({Status.CANCELLING}),
    Status.CANCELLING: frozenset({Status.CANCELLED, Status.REJECTED}),
    # Money that arrives after the end goes back the same way as any other.
    Status.CANCELLED: frozenset({Status.CANCELLING}),
    Status.REJECTED: frozenset({Status.CANCELLING}),
}

UNDER_WAY = frozenset({Status.PENDING, Status.PROCESSING, Status.CANCELLING})


class Leg(StrEnum):
    """What came of one leg: stock, shipping or payment."""

    PENDING = ""  # not tried, or not known yet
    REFUSED = "refused"  # out of stock, not deliverable, declined
    RESERVED = "reserved"  # stock: units held
    RELEASED = "released"  # stock: units given back
    SOLD = "sold"  # stock: units handed over
    QUOTED = "quoted"  # shipping: the total is final
    AUTHORIZED = "authorized"  # payment: amount held on the card
    CAPTURED = "captured"  # payment: amount taken
    VOIDED = "voided"  # payment: hold let go
    REFUNDED = "refunded"  # payment: amount given back
    NOT_NEEDED = "nothing"  # payment: there turned out to be nothing to give back


class EventType(StrEnum):
    """What can happen to an order, in the past tense."""

    PLACED = "order_placed"
    RELEASED = "order_released"  # a held order may go
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
    CANCELLATION_STARTED = "cancellation_started"
    STOCK_RELEASED = "stock_released"
    MONEY_RETURNED = "money_returned"
    PAYMENT_ARRIVED_LATE = "payment_arrived_late"
    CANCELLED = "order_cancelled"
    REJECTED = "order_rejected"
    WAITING = "order_waiting"
    ATTENTION_NEEDED = "attention_needed"
    RETRIED = "order_retried"


# The status an order has after an event; events that are not here leave it alone.
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
    """What an order that is due later is waiting for."""

    NONE = ""
    PAYMENT_PROVIDER = "payment_provider"  # the provider cannot be reached; nothing was asked of it this time
    PAYMENT_OUTCOME = "payment_outcome"  # we asked and do not know what came of it
    LOST_STEP = "lost_step"  # a leg did not report back


# Seconds until the next look at an order that waits, by how often it was tried: 1, 2, 4, … capped.
LONGEST_WAIT = 60.0
# … and at one whose provider was not even asked, because it is known to be down.
PROVIDER_WAIT = 5.0
# An order that goes on trying is put before a person as well after so many tries.
MAX_QUIET_ATTEMPTS = 8
# Tries are counted up to here: one that waits for a provider for weeks is looked at every minute.
MAX_COUNTED_ATTEMPTS = 1_000

# Events that do not mean that the order got anywhere.
NO_PROGRESS = frozenset({EventType.WAITING, EventType.ATTENTION_NEEDED})

# What each leg that is done adds to the progress bar, in percent; the rest comes with the end.
PROGRESS = dict.fromkeys(Leg, 0) | {
    Leg.RESERVED: 30,
    Leg.QUOTED: 15,
    Leg.AUTHORIZED: 25,
    Leg.CAPTURED: 40,
}
WITH_LEGS_UNDER_WAY = frozenset({Status.PROCESSING, Status.CANCELLING})


class IllegalMove(Exception):
    """A move that the table of transitions does not have: a defect, never a user's mistake."""

    def __init__(self, order_id: int, source: Status, target: Status) -> None:
        super().__init__(f"Order {order_id} cannot go from {source} to {target}.")
        self.order_id, self.source, self.target = order_id, source, target


def has_ended(status: Status | str, *, completion_requested: bool) -> bool:
    """Whether nothing more is to come of an order by itself."""
    return status not in UNDER_WAY and not (status == Status.CONFIRMED and completion_requested)


def may_be_retried(status: Status | str, *, is_due: bool, attention: str) -> bool:
    """Whether a retry would bring anything: the order is on its way, or a person was called.

    Every step bears a repeat, so whatever may be retried is safe to be.
    """
    is_held = status == Status.PENDING and not is_due
    return not is_held and (status in UNDER_WAY or bool(attention))


@dataclass(slots=True)
class Event:
    """Something that happened, not yet in the journal."""

    order_id: int
    sequence: int
    type: EventType
    progress: int
    data: dict[str, Any]


@dataclass(slots=True)
class JourneyState:
    """A journey under lock. `due_in` is when to look again: seconds from now, None for at rest."""

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
    # Times in a row that it was lost in somebody's hands: its batch remembers it, and who claims it knows.
    losses: int = 0
    due_in: float | None = None
    reschedule: bool = False
    events: list[Event] = field(default_factory=list)

    # --- What is so --------------------------------------------------------------------------------------

    @property
    def progress(self) -> int:
        """Percent of the journey that lies behind."""
        if self.status in WITH_LEGS_UNDER_WAY:
            return 10 + PROGRESS[self.stock] + PROGRESS[self.shipping] + PROGRESS[self.payment]
        return 0 if self.status is Status.PENDING else 100

    @property
    def has_changed(self) -> bool:
        """Whether there is anything to save."""
        return bool(self.events) or self.reschedule

    @property
    def is_refused(self) -> bool:
        """Whether a leg said no, so that the order cannot be confirmed."""
        return Leg.REFUSED in (self.stock, self.shipping, self.payment)

    @property
    def may_be_charged(self) -> bool:
        """Whether the payment leg is still to be tried: the total is final and nothing spoke against it."""
        return (
            self.is_processing
            and self.shipping is Leg.QUOTED
            and self.payment is Leg.PENDING
            and not self.is_refused
        )

    @property
    def may_be_captured(self) -> bool:
        """Whether both legs joined well: stock is held, the total is final, the money is waiting."""
        return self.is_processing and (self.stock, self.shipping, self.payment) == (
            Leg.RESERVED,
            Leg.QUOTED,
            Leg.AUTHORIZED,
        )

    @property
    def is_held(self) -> bool:
        """Whether it waits for somebody to start it."""
        return self.status is Status.PENDING and not self.is_due

    @property
    def may_be_retried(self) -> bool:
        """Whether a retry would bring anything."""
        return may_be_retried(self.status, is_due=self.is_due, attention=self.attention)

    @property
    def is_processing(self) -> bool:
        """Whether the legs may work on it."""
        return self.status is Status.PROCESSING

    @property
    def waits_for_provider(self) -> bool:
        """Whether it is the payment provider that it waits for: that may take its time and is nobody's fault here."""
        return self.waiting_for in (Wait.PAYMENT_PROVIDER, Wait.PAYMENT_OUTCOME)

    @property
    def tries(self) -> int:
        """Claims that count against it: of one that waits for its provider, those that it was lost with."""
        return self.losses if self.waits_for_provider else self.attempts

    @property
    def is_cancelling(self) -> bool:
        """Whether what it holds is to be given back."""
        return self.status is Status.CANCELLING

    @property
    def holds_stock(self) -> bool:
        """Whether units are held for it, or left with it."""
        return self.stock in (Leg.RESERVED, Leg.SOLD)

    @property
    def may_hold_money(self) -> bool:
        """Whether the provider may hold or have money for it. Before the quote nobody has asked for any."""
        never_asked = self.shipping is not Leg.QUOTED
        return not never_asked and self.payment in (Leg.PENDING, Leg.AUTHORIZED, Leg.CAPTURED)

    @property
    def has_no_money(self) -> bool:
        """Whether it is over, or nearly, and the provider is thought to have nothing of the customer's."""
        return (
            self.status in (Status.CANCELLING, Status.CANCELLED, Status.REJECTED) and not self.may_hold_money
        )

    @property
    def money_to_return(self) -> bool:
        """Whether it is being undone and its money is not settled yet."""
        return self.is_cancelling and self.may_hold_money

    # --- What happens on the way ---------------------------------------------------------------------------

    def stock_reserved(self) -> None:
        """Every line's units are held."""
        self.stock = Leg.RESERVED
        self._note(EventType.STOCK_RESERVED)

    def stock_refused(self, shortages: list[dict[str, Any]]) -> None:
        """At least one line's units are not there; none is held."""
        self.stock = Leg.REFUSED
        self._refuse("out_of_stock", EventType.STOCK_REFUSED, shortages=shortages)

    def shipping_quoted(self, amount: Decimal) -> None:
        """The price of shipping is known, so the total is final."""
        self.shipping, self.shipping_amount = Leg.QUOTED, amount
        self._note(EventType.SHIPPING_QUOTED, amount=str(amount))

    def shipping_refused(self, code: str) -> None:
        """We do not deliver this there."""
        self.shipping = Leg.REFUSED
        self._refuse(code, EventType.SHIPPING_REFUSED)

    def payment_authorized(self) -> None:
        """The provider holds the amount."""
        self.payment, self.waiting_for = Leg.AUTHORIZED, Wait.NONE
        self._note(EventType.PAYMENT_AUTHORIZED)

    def payment_declined(self, code: str) -> None:
        """The provider said no."""
        self.payment = Leg.REFUSED
        self._refuse(code or "payment_declined", EventType.PAYMENT_DECLINED)

    def payment_captured(self) -> None:
        """The provider took the amount."""
        self.payment, self.waiting_for = Leg.CAPTURED, Wait.NONE
        self._note(EventType.PAYMENT_CAPTURED)

    def capture_declined(self, code: str) -> None:
        """The provider would not take what it held: what it may still hold has to be let go."""
        self._refuse(code or "capture_declined", EventType.CAPTURE_DECLINED)
        self.undo(outcome=Status.REJECTED)

    def payment_arrived_late(self, leg: Leg = Leg.AUTHORIZED) -> None:
        """Money came in after the order was thought to have none any more; it goes back."""
        has_ended = not self.is_cancelling
        self.payment, self.outcome = leg, self.outcome or Status.CANCELLED
        self.reschedule_in(0)
        if has_ended:
            self._move(Status.CANCELLING)
            self._note(EventType.PAYMENT_ARRIVED_LATE)

    def stock_released(self) -> None:
        """The units went back on the shelf."""
        self.stock = Leg.RELEASED
        self._note(EventType.STOCK_RELEASED)

    def money_returned(self, how: Leg) -> None:
        """The provider holds and has nothing of the customer's any more."""
        self.payment, self.waiting_for = how, Wait.NONE
        if how is not Leg.NOT_NEEDED:
            self._note(EventType.MONEY_RETURNED, how=how.value)

    # --- Moves ---------------------------------------------------------------------------------------------

    def claimed(self, *, lease: float) -> None:
        """A dispatcher takes it up: nobody else looks at it for the length of the lease, in seconds."""
        self.defer(lease)
        self.attempts = min(self.attempts + 1, MAX_COUNTED_ATTEMPTS)
        if self.waiting_for == Wait.LOST_STEP:
            self.waiting_for = Wait.NONE
        if self.status is Status.PENDING:
            self._move(Status.PROCESSING)
            self._note(EventType.STARTED)

    def batch_expired(self, *, before: int, was_started: bool) -> None:
        """Its batch never arrived, after so many `before` it. Unless it was in somebody's hands that is no try."""
        if was_started:
            self.losses = min(before + 1, MAX_COUNTED_ATTEMPTS)
        else:
            self.losses, self.attempts = before, max(0, self.attempts - 1)

    def settle(self) -> None:
        """Decide by what the legs say, and by nothing else, where the order goes now."""
        if self.is_processing and self.is_refused:
            self.undo(outcome=Status.REJECTED)
        elif self.is_processing and self.payment is Leg.CAPTURED:
            self.confirm()
        elif self.is_cancelling and not self.holds_stock and not self.may_hold_money:
            self._end(Status(self.outcome))
        else:
            self.wait()

    def confirm(self) -> None:
        """Everything is held and paid: the order is good."""
        self._move(Status.CONFIRMED)
        self._arrive()
        self._note(EventType.CONFIRMED)
        if self.completion_requested:
            self.reschedule_in(0)

    def complete(self) -> None:
        """The goods were handed over."""
        self._move(Status.COMPLETED)
        self.stock = Leg.SOLD
        self._arrive()
        self._note(EventType.COMPLETED)

    def request_completion(self) -> None:
        """Complete it as soon as it is confirmed."""
        if not self.completion_requested:
            self.completion_requested = True
            self._note(EventType.COMPLETION_REQUESTED)

    def release(self) -> None:
        """A held order may go."""
        self.reschedule_in(0)
        self._note(EventType.RELEASED)

    def undo(self, *, outcome: Status, reason: str = "") -> None:
        """Head for `outcome`, at once if nothing is held, else by way of giving everything back."""
        self.outcome, self.reason = outcome.value, reason or self.reason
        if not self.holds_stock and not self.may_hold_money:
            self._end(outcome)
            return
        self._move(Status.CANCELLING)
        self.reschedule_in(0)
        self._note(EventType.CANCELLATION_STARTED, reason=self.reason, outcome=outcome.value)

    # --- Time ----------------------------------------------------------------------------------------------

    def blocked(self, what: Wait) -> None:
        """Its leg cannot go on for now. Said once for each cause, not for each look."""
        if self.waiting_for != what:
            self._note(EventType.WAITING, waiting_for=what.value)
            self.waiting_for = what

    def no_capacity(self) -> None:
        """There was no room for it in this batch's calls: it leaves with the next, and no try is used up."""
        self.attempts = 0
        self.reschedule_in(0)

    def wait(self) -> None:
        """Look again later: soon after a first try, less and less often after many."""
        self.blocked(Wait(self.waiting_for) or Wait.LOST_STEP)
        if self.waiting_for == Wait.PAYMENT_PROVIDER:
            self.attempts = 0  # nothing was tried, so no try is used up
            self.reschedule_in(PROVIDER_WAIT)
            return
        if self.attempts >= MAX_QUIET_ATTEMPTS and not self.attention:
            self._attend(f"{self.waiting_for} for {self.attempts} attempts")
        self.reschedule_in(min(LONGEST_WAIT, 2.0 ** (self.attempts - 1)))

    def escalate(self, why: str, *, details: str = "") -> None:
        """Stop, and put it before a person."""
        self.rest()
        self._attend(why, details=details)

    def overdue(self, deadline: timedelta) -> None:
        """It goes on, and a person is told that it has been in its state for longer than this."""
        if not self.attention:
            minutes = int(deadline.total_seconds() // 60)
            self._attend(f"{self.waiting_for or self.status.value} for over {minutes} minutes")

    def audit_failed(self, promise: str, *, details: str) -> None:
        """The audit found that it breaks a promise: a person is told, and it goes on as it would."""
        if not self.attention:
            self._attend(f"the audit found it wrong: {promise}", details=details)

    def retry(self) -> None:
        """A person says: go on; of one that is at rest, that they have seen to it."""
        self.attention, self.attempts = "", 0
        if not has_ended(self.status, completion_requested=self.completion_requested):
            self.reschedule_in(0)
        self._note(EventType.RETRIED)

    def defer(self, seconds: float) -> None:
        """Be due in so many seconds."""
        self.reschedule, self.due_in = True, seconds

    def reschedule_in(self, seconds: float) -> None:
        """Let go of the batch and be due in so many seconds."""
        self.defer(seconds)
        self.batch_id = None

    def rest(self) -> None:
        """Let go of the batch; nothing more is to be done."""
        self.reschedule, self.due_in, self.batch_id, self.attempts = True, None, None, 0
        self.waiting_for = Wait.NONE

    # --- Inside --------------------------------------------------------------------------------------------

    def _refuse(self, reason: str, event: EventType, **data: Any) -> None:
        self.reason = self.reason or reason
        self._note(event, reason=reason, **data)

    def _arrive(self) -> None:
        """Be at rest, with nothing left that a person would have to look at."""
        self.rest()
        self.attention = ""

    def _end(self, status: Status) -> None:
        self._move(status)
        self._arrive()
        self._note(
            EventType.CANCELLED if status is Status.CANCELLED else EventType.REJECTED, reason=self.reason
        )

    def _move(self, target: Status) -> None:
        if target not in TRANSITIONS[self.status]:
            raise IllegalMove(self.order_id, self.status, target)
        self.status = target

    def _attend(self, why: str, *, details: str = "") -> None:
        self.attention = why[:200]
        self._note(EventType.ATTENTION_NEEDED, why=why, details=details[-4000:])

    def _note(self, event: EventType, **data: Any) -> None:
        self.sequence += 1
        if event not in NO_PROGRESS:
            self.attempts = min(self.attempts, 1)
        self.events.append(Event(self.order_id, self.sequence, event, self.progress, data))
