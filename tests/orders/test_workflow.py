"""The rules of the journey, without a database: every pair of states, every verdict."""

import itertools
from decimal import Decimal

import pytest

from orders.workflow import (
    MAX_QUIET_ATTEMPTS,
    STATUS_AFTER,
    TRANSITIONS,
    EventType,
    IllegalMove,
    JourneyState,
    Leg,
    Status,
    Wait,
)


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
    state = journey(stock=Leg.RESERVED, shipping=Leg.QUOTED, payment=Leg.CAPTURED)
    state.settle()
    assert state.status is Status.CONFIRMED
    assert (state.reschedule, state.due_in, state.batch_id) == (True, None, None)
    assert types(state) == [EventType.CONFIRMED]


def test_an_order_whose_completion_was_asked_for_is_due_again_when_confirmed() -> None:
    state = journey(stock=Leg.RESERVED, shipping=Leg.QUOTED, payment=Leg.CAPTURED, completion_requested=True)
    state.settle()
    assert state.status is Status.CONFIRMED
    assert state.due_in == 0


@pytest.mark.parametrize(
    "legs",
    [
        {"stock": Leg.RESERVED, "shipping": Leg.QUOTED, "payment": Leg.REFUSED},
        {"stock": Leg.REFUSED, "shipping": Leg.QUOTED, "payment": Leg.AUTHORIZED},
        {"stock": Leg.REFUSED, "shipping": Leg.QUOTED, "payment": Leg.PENDING},
        {"stock": Leg.RESERVED, "shipping": Leg.REFUSED},
    ],
)
def test_a_refused_order_that_may_hold_something_gives_it_back_first(legs: dict[str, Leg]) -> None:
    state = journey(**legs)
    state.settle()
    assert state.status is Status.CANCELLING
    assert state.outcome == Status.REJECTED
    assert state.due_in == 0


@pytest.mark.parametrize(
    "legs",
    [
        {"stock": Leg.REFUSED},
        {"stock": Leg.REFUSED, "shipping": Leg.REFUSED},
        {"stock": Leg.REFUSED, "shipping": Leg.QUOTED, "payment": Leg.REFUSED},
    ],
)
def test_a_refused_order_that_holds_nothing_is_rejected_at_once(legs: dict[str, Leg]) -> None:
    state = journey(**legs)
    state.settle()
    assert state.status is Status.REJECTED
    assert state.due_in is None


def test_a_cancelling_order_ends_only_when_nothing_is_held() -> None:
    state = journey(
        Status.CANCELLING, stock=Leg.RESERVED, shipping=Leg.QUOTED, payment=Leg.VOIDED, outcome="cancelled"
    )
    state.settle()
    assert state.status == "cancelling"
    state.stock_released()
    state.settle()
    assert state.status == "cancelled"


def test_an_order_whose_legs_are_not_known_waits() -> None:
    state = journey(stock=Leg.RESERVED)
    state.settle()
    assert state.status is Status.PROCESSING
    assert state.waiting_for == Wait.LOST_STEP
    assert state.due_in == 1


def test_waits_grow_and_are_capped() -> None:
    delays = []
    for attempts in range(1, 12):
        state = journey(waiting_for=Wait.PAYMENT_OUTCOME, attempts=attempts, attention="seen")
        state.wait()
        delays.append(state.due_in)
    assert delays[:6] == [1, 2, 4, 8, 16, 32]
    assert set(delays[6:]) == {60}


def test_an_order_that_waits_for_weeks_is_still_looked_at() -> None:
    state = journey(waiting_for=Wait.PAYMENT_OUTCOME, attention="seen")
    for _ in range(40_000):
        state.claimed(lease=8)
        state.wait()
    assert state.due_in == 60
    assert state.attempts < 2**15


def test_a_wait_for_the_provider_uses_up_no_try() -> None:
    state = journey(waiting_for=Wait.PAYMENT_PROVIDER, attempts=3)
    state.wait()
    assert state.attempts == 0


def test_only_lost_batches_count_against_an_order_that_waits_for_its_provider() -> None:
    state = journey(waiting_for=Wait.PAYMENT_OUTCOME, attempts=7)
    state.batch_expired(before=0, was_started=False)
    assert state.tries == 0
    state.batch_expired(before=2, was_started=True)
    assert state.tries == 3
    state.waiting_for = Wait.NONE
    assert state.tries == state.attempts == 6


def test_an_outcome_that_stays_unknown_is_put_before_a_person_and_still_retried() -> None:
    state = journey(waiting_for=Wait.PAYMENT_OUTCOME, attempts=MAX_QUIET_ATTEMPTS)
    state.wait()
    assert state.attention
    assert state.due_in is not None
    assert EventType.ATTENTION_NEEDED in types(state)


def test_an_order_that_arrives_needs_no_attention_any_more() -> None:
    state = journey(stock=Leg.RESERVED, shipping=Leg.QUOTED, payment=Leg.CAPTURED, attention="it took long")
    state.settle()
    assert state.attention == ""


def test_the_same_wait_is_said_once() -> None:
    state = journey()
    state.blocked(Wait.PAYMENT_PROVIDER)
    state.blocked(Wait.PAYMENT_PROVIDER)
    assert types(state) == [EventType.WAITING]


def test_nothing_is_asked_of_the_provider_once_a_leg_has_refused() -> None:
    assert journey(shipping=Leg.QUOTED).may_be_charged
    assert not journey(shipping=Leg.QUOTED, stock=Leg.REFUSED).may_be_charged
    assert not journey(shipping=Leg.REFUSED).may_be_charged
    assert not journey(Status.CANCELLING, shipping=Leg.QUOTED).may_be_charged


def test_money_that_arrives_after_the_end_goes_back() -> None:
    state = journey(Status.CANCELLED, shipping=Leg.QUOTED, payment=Leg.NOT_NEEDED, outcome="cancelled")
    state.payment_arrived_late()
    assert state.money_to_return
    state.money_returned(Leg.VOIDED)
    state.settle()
    assert state.status is Status.CANCELLED


def test_progress_only_grows_on_the_way_to_confirmed() -> None:
    state = JourneyState(order_id=1, status=Status.PENDING, sequence=1, is_due=True)
    state.claimed(lease=8)
    state.shipping_quoted(Decimal("5.00"))
    state.stock_reserved()
    state.payment_authorized()
    state.payment_captured()
    state.settle()
    progress = [event.progress for event in state.events]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    assert [event.sequence for event in state.events] == [2, 3, 4, 5, 6, 7]
