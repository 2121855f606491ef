"""Refunds and captures that fail days after they succeeded: rows of their own, tried again or escalated."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from orders import commands
from orders.maintenance import audit
from orders.models import Credit, Journey, Order
from orders.operators import money_at_risk
from orders.refunding import parts, reversals
from orders.refunding.amounts import Wish
from orders.reporting import analytics, export
from payments.gateways.protocol import Outcome
from payments.models import Transaction, create_on
from sandbox.process import SandboxProcess
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off
from tests.orders.test_payment_webhooks import NEW, event, send

pytestmark = pytest.mark.django_db(transaction=True)

CLOSED = Outcome("declined", code="account_closed", message="The account is closed.")


@pytest.fixture(autouse=True)
def shop(providers: SandboxProcess, settings):
    make_shipping()
    settings.PAYMENT_WEBHOOK_SECRETS = [NEW]
    yield
    # The sandbox does not know that its refunds fail: its own ledger is not compared.
    assert [str(v) for v in audit.run(with_ledger=False).violations] == []


def refunded_order() -> int:
    order = make_order((make_product(), 1))
    work_off()
    parts.refund_part(order_id=order.order_id, wish=Wish(amount=make_product(price="4.00").price))
    work_off()
    return order.order_id


def sold() -> tuple[float, float]:
    """Return the revenue of all orders, and of their products."""
    now = database_now()
    found = analytics.analyse(analytics.Span(now - timedelta(hours=1), now + timedelta(hours=1)), unit="day")
    (period,), (product,) = found.periods, found.top_products
    return float(period.revenue), float(product.revenue)


def attempts() -> list[tuple[str, str, str]]:
    rows = Transaction.objects.filter(kind__in=["refund", "reversal"]).order_by("started_at", "number")
    return [(row.kind, row.state, row.key.split(":", 1)[1]) for row in rows]


def test_a_refund_that_fails_later_is_tried_again_under_a_new_key() -> None:
    order_id = refunded_order()
    for _ in range(2):  # a webhook comes twice
        send(event(order_id, "refund", "declined", key=Transaction.objects.get(kind="refund").key))
    assert Credit.objects.get().state == "failed"
    (risk,) = money_at_risk.at_risk()
    assert (int(risk.amount), risk.cause) == (4, "Refund refused by the provider.")
    work_off()
    assert attempts() == [
        ("refund", "succeeded", "refund"),
        ("reversal", "succeeded", "reversal:4"),
        ("refund", "succeeded", "refund:2"),
    ]
    assert Credit.objects.get().state == "refunded"
    assert money_at_risk.at_risk() == []


def test_a_refund_that_keeps_failing_is_escalated() -> None:
    order_id = refunded_order()
    for _ in range(reversals.MOST_ATTEMPTS):
        last = Transaction.objects.filter(kind="refund").latest("number")
        assert reversals.record_news(last, CLOSED)
        work_off()
    journey = Journey.objects.get(order_id=order_id)
    assert journey.due_at is None
    assert (
        journey.attention
        == "Refund of 4.00 USD failed after it had succeeded: account_closed The account is closed."
    )


def test_the_refund_of_a_cancelled_order_that_fails_later_is_made_again() -> None:
    order = make_order((make_product(), 1))
    work_off()
    commands.cancel_order(order_id=order.order_id, reason="Changed mind")
    work_off()
    assert reversals.record_news(Transaction.objects.get(kind="refund"), CLOSED)
    assert Journey.objects.get(order_id=order.order_id).status == "cancelling"
    work_off()
    assert Journey.objects.get(order_id=order.order_id).status == "cancelled"
    assert [key for _, _, key in attempts()] == ["refund", "reversal:4", "refund:2"]


@pytest.mark.parametrize(("state", "revenue"), [("unknown", 15), ("declined", 15), ("succeeded", 9)])
def test_what_a_dispute_has_lost_is_no_revenue(state: str, revenue: int) -> None:
    make_order((make_product(), 1))
    work_off()
    capture = Transaction.objects.get(kind="capture")
    at = database_now()
    create_on(
        capture, kind=Transaction.Kind.DISPUTE, number=16, amount=Decimal(6), state=state, started_at=at
    )
    assert sold() == (revenue, 10 * revenue / 15)


def test_a_capture_that_fails_later_is_money_at_risk_until_it_is_cancelled() -> None:
    order = make_order((make_product(), 1))
    work_off()
    assert sold() == (15, 10)
    assert reversals.record_news(Transaction.objects.get(kind="capture"), CLOSED)
    assert [risk.amount for risk in money_at_risk.at_risk()] == [15]
    assert sold() == (0, 0)
    (row,) = b"".join(export.FORMATS["ndjson"].pieces(Order.objects.all(), staff=True)).splitlines()
    assert json.loads(row)["capturedAmount"] == 0
    commands.cancel_order(order_id=order.order_id, reason="Never paid")
    work_off()
    assert Journey.objects.get(order_id=order.order_id).status == "cancelled"
    assert attempts() == [("reversal", "succeeded", "reversal:2")]
