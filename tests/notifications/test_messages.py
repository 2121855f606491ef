"""What people are told of each event."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from live import close_codes
from live.close_codes import Refusal
from live.messages import SENTENCES, Message
from orders.events import STATUS_AFTER, EventType
from orders.journal import FeedEvent, Position

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def told(event_type, **data):
    event = FeedEvent(Position(9, 7, 3), 7, 3, event_type, 40, data, AT, 1, "Alice", AT)
    return json.loads(Message.of_feed_event(event).plain)


@pytest.mark.parametrize("event_type", list(EventType))
def test_each_event_is_one_message_of_one_kind(event_type):
    body = told(event_type)
    kind = "OrderProcessingProgress"
    if event_type in STATUS_AFTER:
        kind = "OrderCreated" if event_type is EventType.PLACED else "OrderStatusUpdated"
    assert body["type"] == kind
    assert ("status" in body) == (event_type in STATUS_AFTER)
    assert (body["orderId"], body["sequence"], body["position"], body["progress"]) == (7, 3, "9-7-3", 40)
    assert body["timestamp"] == "2026-01-02T03:04:05Z"
    assert body["message"] == SENTENCES[event_type]


def test_a_change_of_status_says_why():
    body = told(EventType.REJECTED, reason="out_of_stock")
    assert (body["status"], body["reason"]) == ("Rejected", "out_of_stock")
    assert body["message"] == "The order was rejected: out of stock."


def test_what_is_for_operators_eyes_is_not_told():
    body = told(EventType.ATTENTION_NEEDED, why="a defect", details="Traceback …")
    assert "Traceback" not in json.dumps(body)
    assert "defect" not in json.dumps(body)


def test_an_event_that_has_no_name_here_yet_is_told_as_progress():
    assert told("order_gift_wrapped")["type"] == "OrderProcessingProgress"


def test_a_reason_fits_into_a_close_frame():
    reasons = [value.reason for value in vars(close_codes).values() if isinstance(value, Refusal)]
    assert reasons
    assert max(len(reason.encode()) for reason in reasons) <= 123


def test_times_are_told_in_utc():
    event = FeedEvent(
        Position(9, 7, 3), 7, 3, "order_placed", 0, {}, AT.astimezone(timezone(timedelta(hours=2))), 1, "", AT
    )
    assert json.loads(Message.of_feed_event(event).plain)["timestamp"] == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("reason", ["see ticket ABC_123_x", "out_of_stock"])
def test_a_reason_that_was_typed_is_repeated_as_it_is(reason):
    body = told(EventType.CANCELLED, reason=reason)
    assert (body["reason"], body.get("reasonCode")) == (reason, None)
    assert body["message"].endswith(f": {reason}.")


def test_the_code_of_a_refusal_is_said_in_words_and_as_a_code():
    body = told(EventType.REJECTED, reason="out_of_stock")
    assert body["reasonCode"] == "out_of_stock"
    assert body["message"].endswith(": out of stock.")
