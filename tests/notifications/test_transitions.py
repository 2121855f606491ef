"""Each transition of an order leaves one line in the log."""

import json

import pytest
import structlog

from notifications import journal_reader, transitions
from orders.commands import cancel_order
from tests.factories import make_order, make_product, make_shipping

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines(monkeypatch, settings):
    """Read the journal to its end; return the lines that were logged, and how many calls that took."""
    settings.LOG_FORMAT = "json"
    texts: list[str] = []
    monkeypatch.setattr(transitions.logger, "handlers", [])
    monkeypatch.setattr(transitions.logger, "info", lambda _form, text: texts.append(text))

    def read() -> tuple[list[dict], int]:
        texts.clear()
        while journal_reader.record_page():
            pass
        return [json.loads(line) for text in texts for line in text.splitlines()], len(texts)

    return read


def test_an_orders_transitions_are_logged_with_number_request_and_trace(lines, providers, drain):
    make_shipping()
    with structlog.contextvars.bound_contextvars(request_id="my-trace-1"):
        order = make_order((make_product(units=10), 1), customer_name="Ann Web")
    found, _ = lines()
    assert [line["event"] for line in found] == ["order_placed"]
    drain()
    later, calls = lines()
    assert [line["event"] for line in later] == ["processing_started", "order_confirmed"]
    assert [line["status"] for line in later] == ["processing", "confirmed"]
    assert calls == 1
    for line in (*found, *later):
        assert (line["order"], line["request_id"], line["level"]) == (order.number, "my-trace-1", "info")
        assert "Ann" not in json.dumps(line)
    assert lines() == ([], 0)


def test_what_staff_typed_is_not_in_the_log(lines):
    order = make_order((make_product(), 1), hold=True)
    cancel_order(order_id=order.order_id, reason="Ann Web called")
    found, _ = lines()
    assert [line["event"] for line in found] == ["order_placed", "order_cancelled"]
    assert "called" not in json.dumps(found)


def test_a_page_of_many_orders_is_one_call_and_one_line_while_the_reader_is_behind(
    lines, monkeypatch, settings
):
    product = make_product(units=100)
    orders = [make_order((product, 1)) for _ in range(3)]
    found, calls = lines()
    assert (len(found), calls) == (3, 1)
    monkeypatch.setattr(journal_reader, "PAGE", 3)
    orders = [make_order((product, 1)) for _ in range(3)]
    (found, _) = lines()
    assert [(line["event"], line["order_placed"]) for line in found] == [("transitions", 3)]
    assert (found[0]["first_order"], found[0]["last_order"]) == (orders[0].number, orders[2].number)
    settings.LOG_TRANSITIONS = "all"
    for _ in range(3):
        make_order((product, 1))
    assert len(lines()[0]) == 3


def test_it_can_be_switched_off_and_reads_well_on_a_console(lines, settings, monkeypatch):
    settings.LOG_TRANSITIONS = "0"
    make_order((make_product(), 1))
    assert lines() == ([], 0)
    settings.LOG_TRANSITIONS, settings.LOG_FORMAT = "1", "console"
    order = make_order((make_product(), 1))
    texts: list[str] = []
    monkeypatch.setattr(transitions.logger, "info", lambda _form, text: texts.append(text))
    while journal_reader.record_page():
        pass
    assert f"[info] order_placed order={order.number} " in texts[0]
