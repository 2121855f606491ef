"""The rules of the journey, without a database: every pair of states, every verdict."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from orders import quarantine
from orders.events import STATUS_AFTER, EventType
from orders.legs import LOST_STEP, PAYMENT, SHIPPING, STOCK
from orders.payment import decisions
from orders.rules.leg_types import Mark, State
from orders.status import TRANSITIONS, IllegalMove, Status
from orders.workflow import MAX_QUIET_ATTEMPTS, JourneyState
from payments.gateways.protocol import Outcome


def journey(status: Status = Status.PROCESSING, /, **legs: object) -> JourneyState:
    state = JourneyState(order_id=1, status=status, sequence=1, batch_id=7, attempts=1)
    for name, value in legs.items():
        setattr(state, name, value)
    return state


def types(state: JourneyState) -> list[EventType]:
    return [event.type for event in state.events]


PAIRS = list(itertools.product(Status, Status))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_move_is_made_exactly_if_the_table_has_it(source: Status, target: Status) -> None:
    state = journey(source)
    if target in TRANSITIONS[source]:
        state._move(target)
        assert state.status is target
    else:
        with pytest.raises(IllegalMove):
            state._move(target)
        assert state.status is source


def test_every_status_can_be_reached_from_pending() -> None:
    reached = {Status.PENDING}
    while new := {target for status in reached for target in TRANSITIONS[status]} - reached:
        reached |= new
    assert reached == set(Status)


def test_every_change_of_status_has_an_event() -> None:
    assert set(STATUS_AFTER.values()) == set(Status)


def test_an_order_whose_money_is_taken_is_confirmed_and_rests() -> None:
    state = journey(stock=STOCK.RESERVED, shipping=SHIPPING.QUOTED, payment=PAYMENT.CAPTURED)
    state.settle()
    assert state.status is Status.CONFIRMED
    assert (state.reschedule, state.due_in, state.batch_id) == (True, None, None)
    assert types(state) == [EventType.CONFIRMED]


def test_an_order_whose_completion_was_asked_for_is_due_again_when_confirmed() -> None:
    state = journey(
        stock=STOCK.RESERVED, shipping=SHIPPING.QUOTED, payment=PAYMENT.CAPTURED, completion_requested=True
    )
    state.settle()
    assert state.status is Status.CONFIRMED
    assert state.due_in == 0


@pytest.mark.parametrize(
    "legs",
    [
        {"stock": STOCK.RESERVED, "shipping": SHIPPING.QUOTED, "payment": PAYMENT.REFUSED},
        {"stock": STOCK.REFUSED, "shipping": SHIPPING.QUOTED, "payment": PAYMENT.AUTHORIZED},
        {"stock": STOCK.REFUSED, "shipping": SHIPPING.QUOTED, "payment": PAYMENT.PENDING},
        {"stock": STOCK.RESERVED, "shipping": SHIPPING.REFUSED},
    ],
)
def test_a_refused_order_that_may_hold_something_gives_it_back_first(legs: dict[str, State]) -> None:
    state = journey(**legs)
    state.settle()
    assert state.status is Status.CANCELLING
    assert state.outcome == Status.REJECTED
    assert state.due_in == 0


@pytest.mark.parametrize(
    "legs",
    [
        {"stock": STOCK.REFUSED},
        {"stock": STOCK.REFUSED, "shipping": SHIPPING.REFUSED},
        {"stock": STOCK.REFUSED, "shipping": SHIPPING.QUOTED, "payment": PAYMENT.REFUSED},
    ],
)
def test_a_refused_order_that_holds_nothing_is_rejected_at_once(legs: dict[str, State]) -> None:
    state = journey(**legs)
    state.settle()
    assert state.status is Status.REJECTED
    assert state.due_in is None


def test_a_cancelling_order_ends_only_when_nothing_is_held() -> None:
    state = journey(
        Status.CANCELLING,
        stock=STOCK.RESERVED,
        shipping=SHIPPING.QUOTED,
        payment=PAYMENT.VOIDED,
        outcome="cancelled",
    )
    state.settle()
    assert state.status == "cancelling"
    state.enter(STOCK.RELEASED)
    state.settle()
    assert state.status == "cancelled"


def test_an_order_whose_legs_are_not_known_waits() -> None:
    state = journey(stock=STOCK.RESERVED)
    state.settle()
    assert state.status is Status.PROCESSING
    assert state.waiting_for == LOST_STEP
    assert state.due_in == 1


def test_waits_grow_and_are_capped() -> None:
    delays = []
    for attempts in range(1, 12):
        state = journey(wait=PAYMENT.OUTCOME_UNKNOWN, attempts=attempts, attention="seen")
        state.back_off()
        delays.append(state.due_in)
    assert delays[:6] == [1, 2, 4, 8, 16, 32]
    assert set(delays[6:]) == {60}


def test_an_order_that_waits_for_weeks_is_still_looked_at() -> None:
    state = journey(wait=PAYMENT.OUTCOME_UNKNOWN, attention="seen")
    for _ in range(40_000):
        state.claimed(lease=8)
        state.back_off()
    assert state.due_in == 60
    assert state.attempts < 2**15


def test_a_wait_for_the_provider_uses_up_no_try() -> None:
    state = journey(wait=PAYMENT.PROVIDER_AWAY, attempts=3)
    state.back_off()
    assert state.attempts == 0


def test_an_order_that_is_short_of_units_waits_without_a_try_and_says_so_once() -> None:
    state = journey(shipping=SHIPPING.QUOTED, payment=PAYMENT.AUTHORIZED, attempts=3)
    for _ in range(3):
        state.enter(STOCK.SHORT)
        state.settle()
    assert (state.waiting_for, state.attempts, state.due_in) == (
        STOCK.UNITS_HELD,
        0,
        STOCK.UNITS_HELD.retry_seconds,
    )
    assert types(state) == [EventType.WAITING]
    assert not state.may_be_captured


def test_the_wait_for_units_and_the_one_for_the_provider_take_turns_without_a_flood_of_events() -> None:
    state = journey(shipping=SHIPPING.QUOTED)
    for _ in range(5):
        state.enter(STOCK.SHORT)
        state.wait_for(PAYMENT.PROVIDER_AWAY)
        state.settle()
    assert state.waiting_for == PAYMENT.PROVIDER_AWAY
    assert types(state) == [EventType.WAITING] * 2
    state.enter(PAYMENT.AUTHORIZED)
    state.settle()
    assert state.waiting_for == STOCK.UNITS_HELD


def test_a_card_that_is_authorized_meanwhile_leaves_the_wait_for_units_as_it_is() -> None:
    state = journey(shipping=SHIPPING.QUOTED)
    state.enter(STOCK.SHORT)
    state.enter(PAYMENT.AUTHORIZED)
    state.settle()
    assert types(state) == [EventType.WAITING, EventType.PAYMENT_AUTHORIZED]


@pytest.mark.parametrize(
    "leave",
    [
        lambda state: state.enter(STOCK.RESERVED),
        lambda state: state.enter(STOCK.REFUSED),
        lambda state: state.undo(outcome=Status.CANCELLED),
    ],
)
def test_whoever_leaves_the_queue_waits_for_units_no_longer(leave: Callable[[JourneyState], None]) -> None:
    state = journey(shipping=SHIPPING.QUOTED, payment=PAYMENT.AUTHORIZED)
    state.enter(STOCK.SHORT)
    leave(state)
    assert state.stock is not STOCK.SHORT
    assert state.waiting_for == ""


def test_only_lost_batches_count_against_an_order_that_waits_for_its_provider() -> None:
    state = journey(wait=PAYMENT.OUTCOME_UNKNOWN, attempts=7)
    quarantine.count_loss(state, before=0, was_started=False)
    assert quarantine.attempts_of(state) == 0
    quarantine.count_loss(state, before=2, was_started=True)
    assert quarantine.attempts_of(state) == 3
    state.wait = None
    assert quarantine.attempts_of(state) == state.attempts == 6


def test_an_outcome_that_stays_unknown_is_put_before_a_person_and_still_retried() -> None:
    state = journey(wait=PAYMENT.OUTCOME_UNKNOWN, attempts=MAX_QUIET_ATTEMPTS)
    state.back_off()
    assert state.attention
    assert state.due_in is not None
    assert EventType.ATTENTION_NEEDED in types(state)


def test_an_order_that_arrives_needs_no_attention_any_more() -> None:
    state = journey(
        stock=STOCK.RESERVED, shipping=SHIPPING.QUOTED, payment=PAYMENT.CAPTURED, attention="it took long"
    )
    state.settle()
    assert state.attention == ""


def test_the_same_wait_is_said_once() -> None:
    state = journey()
    state.wait_for(PAYMENT.PROVIDER_AWAY)
    state.wait_for(PAYMENT.PROVIDER_AWAY)
    assert types(state) == [EventType.WAITING]


def test_nothing_is_asked_of_the_provider_once_a_leg_has_refused() -> None:
    assert journey(shipping=SHIPPING.QUOTED).may_be_tried(PAYMENT)
    assert not journey(shipping=SHIPPING.QUOTED, stock=STOCK.REFUSED).may_be_tried(PAYMENT)
    assert not journey(shipping=SHIPPING.REFUSED).may_be_tried(PAYMENT)
    assert not journey(Status.CANCELLING, shipping=SHIPPING.QUOTED).may_be_tried(PAYMENT)


def test_money_that_arrives_after_the_end_goes_back() -> None:
    state = journey(
        Status.CANCELLED, shipping=SHIPPING.QUOTED, payment=PAYMENT.NOT_NEEDED, outcome="cancelled"
    )
    state.payment_arrived_late()
    assert state.may_be_reversed(PAYMENT)
    state.money_returned(PAYMENT.VOIDED)
    state.settle()
    assert state.status is Status.CANCELLED


def test_progress_only_grows_on_the_way_to_confirmed() -> None:
    state = JourneyState(order_id=1, status=Status.PENDING, sequence=1, is_due=True)
    state.claimed(lease=8)
    state.shipping_quoted(Decimal("5.00"), goods=Decimal("10.00"))
    state.enter(STOCK.RESERVED)
    state.enter(PAYMENT.AUTHORIZED)
    state.enter(PAYMENT.CAPTURED)
    state.settle()
    progress = [event.progress for event in state.events]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    assert [event.sequence for event in state.events] == [2, 3, 4, 5, 6, 7]


def test_a_leg_without_capacity_keeps_the_batch_and_is_due_when_it_settles() -> None:
    state = journey(stock=STOCK.RESERVED, shipping=SHIPPING.QUOTED)
    state.no_capacity()
    assert (state.batch_id, state.has_changed, state.due_in) == (7, True, None)
    state.settle()
    assert (state.batch_id, state.due_in, types(state)) == (None, 0, [])


def test_a_wait_ends_with_the_leg_that_it_belongs_to() -> None:
    state = journey(shipping=SHIPPING.QUOTED)
    state.wait_for(PAYMENT.OUTCOME_UNKNOWN)
    state.enter(STOCK.SHORT)
    assert state.waiting_for == PAYMENT.OUTCOME_UNKNOWN
    state.enter(STOCK.RESERVED)
    assert state.waiting_for == PAYMENT.OUTCOME_UNKNOWN
    state.enter(PAYMENT.AUTHORIZED)
    assert state.waiting_for == ""


def test_an_escalated_order_rests() -> None:
    state = journey(wait=PAYMENT.PROVIDER_AWAY)
    state.escalate("a defect", details="where")
    assert (state.reschedule, state.due_in, state.batch_id, state.wait) == (True, None, None, None)
    assert state.attention == "a defect"
    assert types(state) == [EventType.ATTENTION_NEEDED]


def test_without_a_batch_an_order_that_found_no_capacity_is_due_at_once() -> None:
    state = journey(batch_id=None)
    state.no_capacity()
    assert (state.reschedule, state.due_in, state.attempts) == (True, 0, 0)


@pytest.mark.parametrize(("stock", "batch_id"), [(STOCK.RESERVED, 7), (STOCK.RELEASED, None)])
def test_a_cancelled_order_whose_bank_decides_later_stays_in_its_batch_while_stock_is_to_be_released(
    stock: State, batch_id: int | None
) -> None:
    state = journey(Status.CANCELLING, stock=stock, payment=PAYMENT.PENDING)
    decisions.wait(state, Outcome("pending", check_after=timedelta(hours=1)), kind=None)
    assert (state.batch_id, state.wait, state.attempts) == (batch_id, PAYMENT.BANK, 0)
    assert state.due_in == (None if batch_id else 3600)


# No leg of ours has such a state.
TO_APPROVE = State("review", Mark.PERSON, "to be approved", approved_as="authorized")
TO_APPROVE.leg = "payment"


def test_a_retry_and_an_approval_count_attempts_from_the_beginning() -> None:
    retried = journey(attention="a defect", attempts=8)
    retried.retry()
    approved = journey(stock=STOCK.RESERVED, attention="review", attempts=8, payment=TO_APPROVE)
    approved.approve()
    assert (retried.attention, retried.attempts, retried.due_in) == ("", 0, 0)
    assert (approved.attention, approved.attempts, approved.due_in) == ("", 0, 0)
    assert approved.payment is PAYMENT.AUTHORIZED


def test_a_journey_that_nothing_happened_to_is_not_saved() -> None:
    assert not journey().has_changed


def test_progress_begins_with_the_start_and_adds_what_the_legs_weigh() -> None:
    assert journey(Status.PENDING).progress == 0
    assert journey().progress == 10
    assert journey(stock=STOCK.RESERVED).progress == 10 + STOCK.RESERVED.weight
    assert journey(Status.CONFIRMED).progress == 100


def test_what_a_check_finds_flags_an_order_once_without_stopping_it() -> None:
    state = journey()
    state.overdue(timedelta(hours=1))
    state.audit_failed("money", details="5.00 too much")
    assert state.attention == "processing for over 60 minutes"
    assert types(state) == [EventType.ATTENTION_NEEDED]
    assert not state.reschedule
    state.attention = ""
    state.audit_failed("money", details="5.00 too much")
    assert state.attention == "the audit found it wrong: money"


def test_progress_ends_the_count_of_attempts_and_a_wait_does_not() -> None:
    state = journey(attempts=5)
    state.wait_for(PAYMENT.PROVIDER_AWAY)
    assert state.attempts == 5
    state.enter(STOCK.RESERVED)
    assert state.attempts == 1


def test_a_late_payment_is_reversed_and_keeps_how_the_order_ended() -> None:
    state = journey(Status.REJECTED, outcome="rejected", reason="out_of_stock", payment=PAYMENT.REFUSED)
    assert state.has_no_money
    state.payment_arrived_late()
    assert (state.status, state.outcome, state.due_in) == (Status.CANCELLING, "rejected", 0)
    held = journey(Status.CANCELLED, shipping=SHIPPING.QUOTED, payment=PAYMENT.AUTHORIZED)
    assert not held.has_no_money


def test_a_declined_capture_keeps_the_first_reason() -> None:
    state = journey(stock=STOCK.RESERVED, reason="out_of_stock")
    state.capture_declined("expired")
    assert (state.status, state.reason, state.outcome) == (Status.CANCELLING, "out_of_stock", "rejected")
