"""Events of a newer release, whose workers run beside ours during a deploy: shown as progress, and no violation."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from live.messages import Message
from orders import journal
from orders.maintenance import audit
from orders.models import Journey, Order
from orders.reporting.wording import title
from stream.events import stream_event
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

pytestmark = pytest.mark.django_db(transaction=True)

NEWER = "order_gift_wrapped"
APPEND = """
    WITH journey AS (
        UPDATE orders_journey SET sequence = sequence + 1 WHERE order_id = %s RETURNING order_id, sequence
    )
    INSERT INTO orders_orderevent (order_id, sequence, type, progress, data)
    SELECT order_id, sequence, %s, 95, '{"paper": "red"}' FROM journey
"""


def append_newer_event(order_id: int) -> None:
    """Append an event as a worker of a newer release does."""
    with connection.cursor() as cursor:
        cursor.execute(APPEND, [order_id, NEWER])


@pytest.fixture
def order(place: Any) -> Order:
    """An order on hold, with an event of a newer release."""
    order = Order.objects.get(pk=place(hold=True)["id"])
    append_newer_event(order.pk)
    return order


def test_the_api_lists_it_as_progress(as_alice: Any, order: Order) -> None:
    response = as_alice.get(f"/api/orders/{order.pk}/events")
    assert response.status_code == 200
    newer = response.json()["results"][-1]
    assert (newer["type"], newer["status"], newer["progress"]) == (NEWER, None, 95)
    assert newer["data"] == {"paper": "red"}


def test_sockets_and_webhooks_send_it_as_progress(order: Order) -> None:
    event = order.events.get(type=NEWER)
    body = json.loads(Message.of_order_event(event, order).plain)
    assert (body["type"], body["event"]) == ("OrderProcessingProgress", NEWER)
    assert body["message"] == "The order made progress."
    assert "status" not in body


def test_the_stream_carries_it() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    event = journal.FeedEvent(journal.Position(9, 7, 3), 7, 3, NEWER, 95, {}, at, 1, "Alice", at)
    assert json.loads(stream_event(event).payload)["type"] == f"orders.{NEWER}"


def test_pages_show_it_as_progress(client: Any, order: Order) -> None:
    client.force_login(order.owner)
    assert b"The order made progress." in client.get(f"/board/orders/{order.pk}").content
    assert client.get(f"/track/{order.uuid}", follow=True).status_code == 200


def test_the_admin_names_it() -> None:
    assert title(NEWER) == "Order gift wrapped"


@pytest.mark.usefixtures("providers")
def test_the_audit_skips_what_it_cannot_judge() -> None:
    make_shipping()
    order = make_order((make_product(), 1))
    work_off()
    append_newer_event(order.order_id)
    # The newer release may have moved the order on, by events that we do not know.
    Journey.objects.filter(pk=order.order_id).update(stock="released", status="completed")
    report = audit.run(with_ledger=False)
    assert [found for found in report.violations if found.check.startswith("Journal")] == []
