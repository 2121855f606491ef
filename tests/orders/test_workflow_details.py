"""The rules of the journey, without a database: reasons, flags, credits, events, and what is due afterwards."""

from decimal import Decimal

import pytest

from orders.events import EventType
from orders.legs import LOST_STEP, PAYMENT, SHIPPING, STOCK
from orders.payment import decisions
from orders.refunding import refunds
from orders.rules.leg_types import State, Wait
from orders.rules.schedule import MAX_COUNTED_ATTEMPTS
from orders.status import Status
from orders.workflow import BY_HAND, MAX_QUIET_ATTEMPTS, JourneyState
from payments.gateways.protocol import Outcome
from tests.orders.test_workflow import TO_APPROVE, journey, types

OWED = f"{BY_HAND}: 5.00 USD"


def refunding(status: Status = Status.CONFIRMED, /, **legs: object) -> JourneyState:
    return journey(status, **{"stock": STOCK.RESERVED, "payment": PAYMENT.REFUNDING} | legs)


def test_a_leg_is_last_once_no_other_is_to_be_tried() -> None:
    assert journey(stock=STOCK.RESERVED, shipping=SHIPPING.QUOTED).is_last(PAYMENT)
    assert not journey(stock=STOCK.SHORT, shipping=SHIPPING.QUOTED).is_last(PAYMENT)


def test_an_order_keeps_the_reason_of_its_first_refusal() -> None:
    state = journey()
    state.enter(STOCK.RESERVED)
    assert (state.reason, state.events[-1].data) == ("", {})
    state.enter(SHIPPING.REFUSED)
    assert state.reason == state.events[-1].data["reason"] == "shipping_refused"
    state.enter(PAYMENT.REFUSED, reason="expired_card")
    assert (state.reason, state.events[-1].data["reason"]) == ("shipping_refused", "expired_card")


def test_only_what_changed_is_saved() -> None:
    state = journey(stock=STOCK.SHORT)
    state.enter(STOCK.SHORT)
    assert not state.has_changed
    state.payment = PAYMENT.AUTHORIZED
    state.enter(PAYMENT.REFUNDING)
    state.enter(PAYMENT.REFUNDING)
    assert state.has_news
    noted, deferred = journey(), journey()
    noted.note(EventType.RETRIED)
    deferred.defer(5)
    assert noted.has_changed
    assert deferred.has_changed


@pytest.mark.parametrize(("goods", "payment"), [("5.00", PAYMENT.PENDING), ("-5.00", PAYMENT.FREE)])
def test_there_is_nothing_to_pay_if_goods_and_shipping_come_to_nothing(goods: str, payment: State) -> None:
    state = journey()
    state.shipping_quoted(Decimal("5.00"), goods=Decimal(goods))
    assert (state.shipping_amount, state.payment) == (Decimal("5.00"), payment)


@pytest.mark.parametrize("code", ["expired", ""])
def test_a_declined_capture_is_the_reason_if_there_was_none(code: str) -> None:
    state = journey(stock=STOCK.RESERVED)
    state.capture_declined(code)
    reason = code or "capture_declined"
    assert (state.reason, state.events[0].data) == (reason, {"reason": reason})
    assert types(state) == [EventType.CAPTURE_DECLINED, EventType.CANCELLATION_STARTED]


def test_an_authorized_order_is_captured_once_all_other_legs_are_good() -> None:
    good = {"stock": STOCK.RESERVED, "shipping": SHIPPING.QUOTED}
    assert journey(**good, payment=PAYMENT.AUTHORIZED).may_be_captured
    assert not journey(**good, payment=PAYMENT.PENDING).may_be_captured


def test_only_a_late_payment_starts_a_cancellation() -> None:
    late, cancelling = journey(Status.CANCELLED), journey(Status.CANCELLING, outcome="cancelled")
    late.payment_arrived_late()
    cancelling.payment_arrived_late()
    assert types(late) == [EventType.PAYMENT_ARRIVED_LATE]
    assert types(cancelling) == []


def test_there_is_no_money_if_the_payment_was_refused_or_reversed() -> None:
    assert journey(payment=PAYMENT.REFUSED).has_no_money
    assert journey(Status.CANCELLED, payment=PAYMENT.VOIDED).has_no_money
    assert not journey(payment=PAYMENT.AUTHORIZED).has_no_money
    assert not journey(Status.CONFIRMED, payment=PAYMENT.REFUSED).has_no_money


def test_how_money_was_returned_is_recorded_unless_there_was_none() -> None:
    voided, none = journey(Status.CANCELLING), journey(Status.CANCELLING, wait=STOCK.UNITS_HELD)
    voided.money_returned(PAYMENT.VOIDED)
    none.money_returned(PAYMENT.NOT_NEEDED)
    assert none.wait is None
    assert [event.data for event in voided.events] == [{"how": "voided"}]
    assert none.events == []


def test_a_leg_is_reversed_while_its_order_is_cancelled_and_it_holds_something() -> None:
    assert journey(Status.CANCELLING, stock=STOCK.RESERVED).may_be_reversed(STOCK)
    assert not journey(stock=STOCK.RESERVED).may_be_reversed(STOCK)
    assert not journey(Status.CANCELLING, stock=STOCK.RELEASED).may_be_reversed(STOCK)


def test_staff_approve_only_what_is_processed_and_left_to_them() -> None:
    asked = journey(stock=STOCK.RESERVED, payment=TO_APPROVE)
    assert asked.needs_approval
    assert not journey().needs_approval
    assert not journey(Status.CANCELLED, payment=TO_APPROVE).needs_approval
    asked.approve()
    assert asked.events[0].data == {"approved": True}


def test_a_claim_counts_an_attempt_and_ends_the_wait_for_a_lost_step_alone() -> None:
    lost, waiting = journey(wait=LOST_STEP), journey(wait=PAYMENT.OUTCOME_UNKNOWN)
    for state in (lost, waiting):
        state.claimed(lease=8)
    assert (lost.wait, lost.attempts, lost.due_in) == (None, 2, 8)
    assert waiting.wait is PAYMENT.OUTCOME_UNKNOWN
    most = journey(attempts=MAX_COUNTED_ATTEMPTS)
    most.claimed(lease=8)
    assert most.attempts == MAX_COUNTED_ATTEMPTS


@pytest.mark.parametrize(
    ("attempts", "attention", "flags"),
    [(MAX_QUIET_ATTEMPTS - 1, "", 0), (MAX_QUIET_ATTEMPTS, "", 1), (MAX_QUIET_ATTEMPTS, "seen", 0)],
)
def test_a_wait_is_escalated_once_after_many_attempts(attempts: int, attention: str, flags: int) -> None:
    state = journey(wait=PAYMENT.OUTCOME_UNKNOWN, attempts=attempts, attention=attention)
    state.back_off()
    assert types(state) == [EventType.ATTENTION_NEEDED] * flags


@pytest.mark.parametrize(
    ("status", "outcome", "event"),
    [
        (Status.CANCELLED, "cancelled", EventType.CANCELLED),
        (Status.REJECTED, "rejected", EventType.REJECTED),
    ],
)
def test_an_order_ends_with_its_outcome_and_reason(status: Status, outcome: str, event: EventType) -> None:
    state = journey(
        Status.CANCELLING, payment=PAYMENT.VOIDED, outcome=outcome, reason="why", attention="seen"
    )
    state.settle()
    assert (state.attention, state.reschedule, state.due_in, state.batch_id) == ("", True, None, None)
    assert (state.status, state.events[-1].type, state.events[-1].data) == (status, event, {"reason": "why"})


@pytest.mark.parametrize(
    ("wait", "left"), [(PAYMENT.BANK, None), (PAYMENT.OUTCOME_UNKNOWN, PAYMENT.OUTCOME_UNKNOWN)]
)
def test_a_cancellation_ends_the_wait_for_a_decision_and_not_for_an_outcome(
    wait: Wait, left: Wait | None
) -> None:
    state = journey(shipping=SHIPPING.QUOTED, wait=wait)
    state.undo(outcome=Status.CANCELLED)
    assert (state.status, state.wait) == (Status.CANCELLING, left)


@pytest.mark.parametrize(
    ("wait", "left"), [(PAYMENT.BANK, None), (PAYMENT.OUTCOME_UNKNOWN, PAYMENT.OUTCOME_UNKNOWN), (None, None)]
)
def test_a_decision_that_a_webhook_reported_first_makes_an_order_due(
    wait: Wait | None, left: Wait | None
) -> None:
    state = journey(wait=wait, batch_id=None)
    decisions.decided_meanwhile(state)
    assert (state.wait, state.due_in, state.attempts) == (left, 0, 0)


@pytest.mark.parametrize(("stock", "due_in"), [(STOCK.REFUSED, 0), (STOCK.RESERVED, 60)])
def test_a_refused_order_does_not_wait_for_the_bank(stock: State, due_in: float) -> None:
    state = journey(stock=stock, shipping=SHIPPING.QUOTED)
    decisions.wait(state, Outcome("pending"), kind=None)
    assert state.due_in == due_in


def test_a_new_journey_has_no_attempts_and_is_not_due() -> None:
    new = JourneyState(order_id=1, status=Status.PENDING, sequence=1)
    assert (new.attempts, new.losses, new.is_due, new.due_in) == (0, 0, False, None)


# --- Completion -------------------------------------------------------------------------------------------


def test_a_completion_is_requested_once() -> None:
    state = journey()
    assert not state.completion_requested
    for _ in range(2):
        state.request_completion()
    assert state.completion_requested
    assert types(state) == [EventType.COMPLETION_REQUESTED]


def test_a_released_order_is_due_at_once() -> None:
    state = journey(Status.PENDING)
    state.release()
    assert (state.due_in, types(state)) == (0, [EventType.RELEASED])


@pytest.mark.parametrize(
    ("payment", "attention", "kept", "due_in"),
    [
        (PAYMENT.CAPTURED, "it took long", "", None),
        (PAYMENT.CAPTURED, OWED, OWED, None),
        (PAYMENT.REFUNDING, "declined", "declined", 0),
        (PAYMENT.REFUNDING, "", "", 0),
    ],
)
def test_a_completed_order_keeps_the_flags_of_what_is_owed(
    payment: State, attention: str, kept: str, due_in: float | None
) -> None:
    state = refunding(payment=payment, attention=attention)
    state.complete()
    assert (state.status, state.stock) == (Status.COMPLETED, STOCK.SOLD)
    assert (state.attention, state.due_in) == (kept, due_in)
    assert types(state) == [EventType.COMPLETED] + [EventType.ATTENTION_NEEDED] * bool(kept)


def test_a_confirmed_order_keeps_the_flag_of_what_is_to_be_paid_back_by_hand() -> None:
    state = journey(payment=PAYMENT.CAPTURED, attention=OWED)
    state.settle()
    assert (state.attention, types(state)) == (OWED, [EventType.CONFIRMED, EventType.ATTENTION_NEEDED])


# --- Flags ------------------------------------------------------------------------------------------------


def test_a_new_amount_to_pay_back_by_hand_replaces_the_flag_of_another_only() -> None:
    state = journey(Status.CONFIRMED)
    for why in (OWED, OWED, f"{BY_HAND}: 9.00 USD"):
        state.owes_by_hand(why)
    assert state.attention == f"{BY_HAND}: 9.00 USD"
    assert types(state) == [EventType.ATTENTION_NEEDED] * 2
    other = journey(Status.CONFIRMED, attention="a dispute")
    other.owes_by_hand(OWED)
    assert other.attention == "a dispute"


@pytest.mark.parametrize(("attention", "left"), [(OWED, ""), ("a dispute of 5.00", "a dispute of 5.00")])
def test_what_was_paid_back_clears_its_own_flag_only(attention: str, left: str) -> None:
    state = journey(Status.CONFIRMED, attention=attention)
    state.paid_back()
    assert state.attention == left
    assert [event.data for event in state.events] == [{"why": "paid_back"}] * (not left)


@pytest.mark.parametrize(("attention", "left"), [("a dispute of 5.00", ""), (OWED, OWED)])
def test_a_dispute_that_is_won_clears_its_own_flag_only(attention: str, left: str) -> None:
    state = journey(Status.CONFIRMED, attention=attention)
    state.resolve("a dispute", why="dispute_won")
    assert state.attention == left
    assert [event.data for event in state.events] == [{"why": "dispute_won"}] * (not left)


def test_the_beginning_of_a_long_flag_and_the_end_of_long_details_are_kept() -> None:
    state = journey()
    state.escalate("w" * 200 + "end", details="beginning" + "x" * 4000)
    assert state.attention == "w" * 200
    assert state.events[0].data["details"] == "x" * 4000


def test_an_order_that_only_needs_approval_is_escalated() -> None:
    state = journey(stock=STOCK.RESERVED, shipping=SHIPPING.QUOTED, payment=TO_APPROVE)
    state.settle()
    assert (state.attention, state.reschedule, state.due_in) == (TO_APPROVE.words, True, None)


@pytest.mark.parametrize(
    ("state", "due_in"),
    [
        (journey(attention="seen"), 0),
        (refunding(attention="declined"), 0),
        (journey(Status.CONFIRMED, attention="seen"), None),
        (journey(Status.CANCELLED, payment=PAYMENT.REFUNDING, attention="seen"), None),
    ],
)
def test_a_retry_makes_an_order_due_that_has_something_to_do(
    state: JourneyState, due_in: float | None
) -> None:
    state.retry()
    assert (state.attention, state.due_in, types(state)) == ("", due_in, [EventType.RETRIED])


# --- Refunds of parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_due", "attention", "due_in"), [(True, "", None), (False, "", 0), (True, "declined", 0)]
)
def test_a_requested_refund_is_due_unless_others_are_under_way(
    is_due: bool, attention: str, due_in: float | None
) -> None:
    state = refunding(is_due=is_due, attention=attention)
    refunds.requested(state, credit=1, amount=Decimal("5.00"))
    assert (state.payment, state.due_in) == (PAYMENT.REFUNDING, due_in)
    assert state.events[0].data == {"credit": 1, "amount": "5.00"}


def test_the_first_refund_of_an_order_is_due() -> None:
    state = refunding(payment=PAYMENT.CAPTURED, is_due=True)
    refunds.requested(state, credit=1, amount=Decimal("5.00"))
    assert (state.payment, state.due_in) == (PAYMENT.REFUNDING, 0)


@pytest.mark.parametrize(("is_due", "due_in"), [(True, None), (False, 0)])
def test_a_refund_that_fails_later_is_made_again(is_due: bool, due_in: float | None) -> None:
    state = refunding(is_due=is_due, attention="declined")
    refunds.reversed_later(state, credit=1, amount=Decimal("5.00"), code="account_closed")
    assert state.due_in == due_in
    assert state.events[0].data == {
        "credit": 1,
        "amount": "5.00",
        "reason": "account_closed",
        "reversed": True,
    }


def test_the_outcomes_of_refunds_are_recorded() -> None:
    state = refunding(wait=PAYMENT.PROVIDER_AWAY)
    refunds.failed(state, credit=1, amount=Decimal("5.00"), code="declined")
    assert state.wait is PAYMENT.PROVIDER_AWAY
    refunds.succeeded(state, credit=2, amount=Decimal("6.00"))
    assert state.wait is None
    assert [(event.type, event.data) for event in state.events] == [
        (EventType.REFUND_FAILED, {"credit": 1, "amount": "5.00", "reason": "declined"}),
        (EventType.REFUND_SUCCEEDED, {"credit": 2, "amount": "6.00"}),
    ]


@pytest.mark.parametrize(
    ("more", "has_failed", "payment", "due_in"),
    [
        (True, False, PAYMENT.REFUNDING, 0),
        (False, True, PAYMENT.REFUNDING, None),
        (False, False, PAYMENT.CAPTURED, None),
    ],
)
def test_an_order_rests_when_all_its_refunds_were_tried(
    more: bool, has_failed: bool, payment: State, due_in: float | None
) -> None:
    state = refunding(is_due=True, attempts=3)
    refunds.all_tried(state, more=more, has_failed=has_failed)
    assert (state.payment, state.due_in, state.attempts, state.batch_id) == (payment, due_in, 0, None)
