"""Traces: one of an order from its request to the sockets, and nothing at all while they are off."""

import pytest
from celery.signals import before_task_publish
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from config.celery import propagate_trace_context
from live.traces import OrderTraces
from orders import batches, dispatcher, journal
from orders.batches import Claimed, Route
from orders.journal import Position
from orders.models import OrderEvent
from orders.placing import origin
from telemetry import tracing
from tests.factories import make_order, make_product, make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def exporter():
    exporter = InMemorySpanExporter()
    tracing.record_with(SimpleSpanProcessor(exporter), service="tests")
    yield exporter
    tracing.stop()


@pytest.fixture
def post(client):
    user, product = make_user(), make_product()
    client.force_login(user)

    def post() -> int:
        body = {"customerName": "Alice", "items": [{"productId": product.pk, "quantity": 1}]}
        answer = client.post("/api/orders", body, content_type="application/json")
        return answer.json()["id"]

    return post


def named(exporter, beginning):
    return [span for span in exporter.get_finished_spans() if span.name.startswith(beginning)]


def dispatch(sent=lambda claimed: None):
    dispatcher.dispatch_due(sent)


def test_a_lone_order_has_one_trace_from_its_request_to_the_sockets(exporter, post):
    after = journal.end()
    order_id = post()
    sent: dict[str, str] = {}
    dispatch(lambda claimed: propagate_trace_context(headers=sent))
    traces = OrderTraces()
    for event in journal.follow(after):
        with traces.telling(event, sockets=1):
            pass
    (request,) = named(exporter, "POST /api/orders")
    (batch,) = named(exporter, "batch forward")
    told = named(exporter, "tell ")
    trace_id = request.context.trace_id
    assert batch.context.trace_id == trace_id
    assert f"{trace_id:032x}" in sent[tracing.HEADER]
    assert [span.name for span in told] == ["tell order_placed", "tell processing_started"]
    assert {span.context.trace_id for span in told} == {trace_id}
    assert told[0].attributes["order_id"] == order_id


def test_a_message_sent_from_a_recording_has_the_trace_of_its_own_batch(exporter):
    sent = []

    @before_task_publish.connect
    def note(headers, **_):
        sent.append(headers.get(tracing.HEADER, ""))

    claimed = Claimed(1, Route.HANDOVER, [1])
    with tracing.span("first"):
        batches.send(claimed)
        (first,) = sent
    with tracing.span("second"):
        batches.send(claimed)
    tracing.stop()
    batches.send(claimed)
    assert first
    assert sent[1] not in ("", first)
    assert sent[2] == ""


def test_a_batch_of_many_is_linked_to_the_traces_of_its_orders(exporter, post):
    post()
    post()
    dispatch()
    requests = {span.context.trace_id for span in named(exporter, "POST /api/orders")}
    (batch,) = named(exporter, "batch forward")
    assert batch.context.trace_id not in requests
    assert {link.context.trace_id for link in batch.links} == requests


def test_a_request_goes_on_in_the_trace_of_who_sent_it(exporter, client):
    client.get("/health/live", headers={"traceparent": f"00-{7:032x}-{9:016x}-01"})
    (request,) = named(exporter, "GET /health/live")
    assert (request.context.trace_id, request.parent.span_id) == (7, 9)


def test_a_trace_that_is_none_is_not_gone_on_with(exporter, client):
    client.get("/health/live", headers={"traceparent": "nonsense"})
    (request,) = named(exporter, "GET /health/live")
    assert request.parent is None


def test_neither_addresses_nor_errors_bring_secrets_into_a_trace(exporter, client):
    client.get("/nothing/4111111111111111", {"ticket": "sesame"})
    with pytest.raises(ValueError, match="sesame"), tracing.span("/ws?ticket=sesame"):
        raise ValueError("/ws?ticket=sesame declined 4111111111111111")
    request, failed = exporter.get_finished_spans()
    assert request.name == "GET /nothing/[card number]"
    assert failed.name == "/ws?ticket=[secret]"
    assert failed.status.description == "ValueError: /ws?ticket=[secret] declined [card number]"
    assert not any(text in span.to_json() for span in (request, failed) for text in ("sesame", "4111"))


def test_nothing_is_recorded_while_it_is_off(post):
    assert not tracing.is_on()
    order_id = post()
    dispatch()
    (event, *_) = journal.events_of(order_id)
    assert origin.TRACE not in event.data
    assert tracing.current() == ""


def test_an_answer_says_under_which_id_its_request_is_in_the_logs_and_the_order_remembers_it(client):
    client.force_login(make_user())
    body = {"customerName": "Alice", "items": [{"productId": make_product().pk, "quantity": 1}]}
    answer = client.post("/api/orders", body, content_type="application/json")
    first = OrderEvent.objects.get(order_id=answer.json()["id"], sequence=1)
    assert answer.headers["X-Request-ID"] == first.data["request"]


def test_an_id_that_is_a_card_number_is_replaced_before_the_order_remembers_it(client):
    client.force_login(make_user())
    body = {"customerName": "Alice", "items": [{"productId": make_product().pk, "quantity": 1}]}
    headers = {"X-Request-ID": "4111111111111111"}
    answer = client.post("/api/orders", body, content_type="application/json", headers=headers)
    first = OrderEvent.objects.get(order_id=answer.json()["id"], sequence=1)
    assert "4111" not in f"{first.data} {answer.headers}"


def test_lines_about_a_batch_name_some_of_its_orders():
    about = batches.log_context(7, range(1, 501))
    assert about == {"batch_id": 7, "orders": list(range(1, 21)), "order_count": 500}


def test_an_order_that_nobody_posted_has_no_request():
    placed = make_order((make_product(), 1))
    (event,) = journal.follow(Position(), limit=1000)[-1:]
    assert event.order_id == placed.order_id
    assert "request" not in event.data
    assert batches.claim()
