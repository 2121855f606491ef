"""What an order's journey means, in words."""

from datetime import UTC, datetime

from orders.events import EventType
from orders.legs import LEGS, LOST_STEP, WAITS
from orders.models import OrderEvent
from orders.reporting.wording import attention, timeline, title, waits_for

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_everything_that_an_order_can_wait_for_has_its_words():
    assert set(WAITS) == {LOST_STEP, *(wait for leg in LEGS for wait in leg.waits())}
    assert all(wait.words and "_" not in wait.words for wait in WAITS.values())


def test_codes_are_put_into_words():
    assert attention("payment_outcome for 5 attempts") == "waited for the outcome of a payment for 5 attempts"
    assert attention("the step failed") == "the step failed"
    assert (
        attention("reserve_stock: ValueError('bad')")
        == "the step “reserve stock” failed with ValueError('bad')"
    )
    assert attention("") == ""
    assert waits_for("something new") == "something new"


def test_a_timeline_tells_what_happened_when_and_how():
    events = [
        OrderEvent(sequence=1, type="order_placed", at=NOON, data={"amount": "10.00", "held": False}),
        OrderEvent(
            sequence=2,
            type="attention_needed",
            at=NOON.replace(second=1),
            data={"why": "it failed", "details": "Traceback …"},
        ),
    ]
    placed, troubled = timeline(events)
    assert (placed.title, placed.details, placed.moment) == (
        "Order placed",
        [("amount", "10.00")],
        "2026-11-21 12:00:00.000",
    )
    assert (troubled.title, troubled.seconds, troubled.trouble) == ("Escalated to staff", 1.0, "Traceback …")


def test_every_event_has_a_title():
    assert all(title(event) for event in EventType)
    assert title("something_new") == "Something new"
