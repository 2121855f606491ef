"""The audit can fail: each promise that it proves is broken once, and it names the order."""

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection

from api.models import IdempotencyKey
from orders import commands
from orders.maintenance import audit, fold
from orders.models import Journey, Order
from payments.gateways import LedgerLine, PaymentGateway, gateway
from providers.http import provider
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers")]

TAX = '{"kind": "tax", "code": "VAT", "amount": "2", "included": false}'
INCLUDED = TAX.replace("false", "true")

# Tampering with the ledger, and the promise it breaks. `%(id)s` is a confirmed order, `%(held)s` a held one,
# `%(refused)s` one whose payment was declined.
VIOLATIONS = {
    """
    UPDATE orders_orderevent SET data = data || '{"amount": "0.01"}'
    WHERE order_id = %(id)s AND type = 'shipping_quoted'
    """: fold.NAME,
    "UPDATE orders_journey SET shipping = 'refused' WHERE order_id = %(refused)s": fold.NAME,
    "UPDATE orders_journey SET due_at = NULL, status = 'pending', finished_at = NULL WHERE order_id = %(id)s": (
        "No order is lost: one that is under way is due, held, or before a person"
    ),
    "UPDATE orders_orderevent SET data = data || '{\"held\": false}' WHERE order_id = %(held)s": (
        "No order is lost: one that is under way is due, held, or before a person"
    ),
    "UPDATE orders_journey SET due_at = now() + interval '2 days' WHERE order_id = %(held)s": (
        "No order is lost: what is due is due soon"
    ),
    "UPDATE orders_journey SET attention = 'poison' WHERE order_id = %(held)s": (
        "No order is lost: what a person should look at says why"
    ),
    "UPDATE orders_journey SET due_at = now() WHERE order_id = %(id)s": (
        "No order is lost: one that ended is at rest, one that did not has no end"
    ),
    "UPDATE orders_journey SET finished_at = NULL WHERE order_id = %(refused)s": (
        "No order is lost: one that ended is at rest, one that did not has no end"
    ),
    "UPDATE orders_journey SET batch_id = 1 WHERE order_id = %(held)s": (
        "No order is lost: one that ended is at rest, one that did not has no end"
    ),
    "UPDATE orders_orderline SET product_id = product_id + 1000 WHERE order_id = %(id)s": (
        "Stock: units are held for what was ordered, of what there is"
    ),
    "DELETE FROM inventory_stockitem USING inventory_reservation r WHERE r.order_id = %(id)s": (
        "Stock: units are held for what was ordered, of what there is"
    ),
    "UPDATE payments_transaction SET reference = gen_random_uuid() WHERE order_id = %(id)s": (
        "Money: what was asked for is the order's, under its key"
    ),
    "UPDATE payments_transaction SET currency = 'EUR' WHERE order_id = %(id)s AND kind = 'authorize'": (
        "Money: what was asked for is the order's, under its key"
    ),
    "UPDATE payments_transaction SET amount = amount + 1 WHERE order_id = %(id)s AND kind = 'authorize'": (
        "Money: what was asked for is the order's, under its key"
    ),
    "UPDATE payments_transaction SET state = 'succeeded' WHERE order_id = %(refused)s": (
        "Money: nothing is held for an order that ended without it"
    ),
    "UPDATE orders_orderevent SET sequence = 0 WHERE order_id = %(held)s": (
        "Journal: per order gapless, and as long as the journey says"
    ),
    "UPDATE orders_orderevent SET type = 'order_waiting' WHERE order_id = %(held)s": (
        "Journal: it begins with the order's placing, and with nothing else"
    ),
    "UPDATE orders_orderevent SET type = 'order_waiting' WHERE order_id = %(id)s AND type = 'stock_reserved'": (
        "Journal: what came of each leg is an event"
    ),
    "UPDATE orders_journey SET stock = 'released' WHERE order_id = %(id)s": (
        "Journal: what came of each leg is an event"
    ),
    "UPDATE orders_orderevent SET type = 'order_waiting' WHERE order_id = %(id)s AND type = 'payment_captured'": (
        "Journal: what came of each leg is an event"
    ),
    "UPDATE orders_journey SET payment = 'refunded' WHERE order_id = %(refused)s": (
        "Journal: what came of each leg is an event"
    ),
    f"UPDATE orders_order SET adjustments = '[{TAX}]', adjustment_amount = 0 WHERE id = %(held)s": (  # noqa: S608
        "Totals: each adjustment that is not included is in the total"
    ),
    f"UPDATE orders_order SET adjustments = '[{INCLUDED}]', adjustment_amount = 2 WHERE id = %(held)s": (  # noqa: S608
        "Totals: what is included is not added again"
    ),
    "UPDATE orders_order SET adjustment_amount = -11 WHERE id = %(held)s": "Totals: none is below 0",
    "UPDATE orders_order SET currency = 'JPY', goods_amount = 9.5 WHERE id = %(held)s": (
        "Totals: amounts are whole units of their currency"
    ),
    "UPDATE orders_idempotencykey SET owner_id = owner_id + 1000": (
        "Repeats: each key leads to an order of its owner, and no two to the same"
    ),
    "UPDATE orders_idempotencykey SET answer = '{\"orderId\": 0}'": (
        "Repeats: each key leads to an order of its owner, and no two to the same"
    ),
}


@pytest.fixture
def orders() -> dict[str, int]:
    """An order that was confirmed, one that is held, and one whose payment was declined."""
    make_shipping()
    product = make_product()
    placed = {
        "id": make_order((product, 1)),
        "held": make_order((product, 1), hold=True),
        "refused": make_order((product, 1), token="tok_declined"),
    }
    IdempotencyKey.objects.create(
        owner_id=Order.objects.get(pk=placed["id"].order_id).owner_id,
        key="once",
        request_hash=b"",
        status_code=201,
        answer={"orderId": placed["id"].order_id},
    )
    work_off()
    return {name: order.order_id for name, order in placed.items()}


def broken() -> set[str]:
    return {violation.check for violation in audit.run(with_ledger=False).violations}


def test_it_finds_nothing_where_nothing_is(orders):
    assert broken() == set()


@pytest.mark.parametrize("done", VIOLATIONS)
def test_whatever_is_broken_is_found(orders, done):
    with connection.cursor() as cursor:
        cursor.execute(done, orders)
        assert cursor.rowcount > 0
    assert VIOLATIONS[done] in broken()


def test_what_the_scheduled_audit_finds_is_put_before_a_person_until_they_have_seen_to_it(orders):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE payments_transaction SET amount = amount + 1 WHERE order_id = %s AND kind = 'capture'",
            [orders["id"]],
        )
    for _ in range(2):
        assert ", 0 violations" not in audit.take_turn()
    journey = Journey.objects.get(order_id=orders["id"])
    assert "the audit found it wrong: Money" in journey.attention
    assert (journey.status, journey.due_at) == ("confirmed", None)
    assert journey.order.events.filter(type="attention_needed").count() == 1

    commands.retry_order(order_id=orders["id"])
    journey.refresh_from_db()
    assert (journey.attention, journey.status, journey.due_at) == ("", "confirmed", None)


def charge(reference: str, **changes) -> None:
    """Make another system use the provider's account."""
    body = {"reference": reference, "amount": "12.00", "currency": "USD", "token": "tok_visa"} | changes
    provider("payments").post("/authorizations", body, key=str(uuid.uuid4()))


def test_lines_of_the_ledger_that_are_others_are_counted_and_no_violation(orders):
    before = audit.run().foreign_lines
    tag = uuid.uuid4().hex[:8]
    for reference in [f"phone-order-{tag}", "17", str(uuid.uuid4()), f"{{{uuid.uuid4()}}}", "Ü" * 50]:
        charge(reference)
    charge(f"phone-order-{tag}", currency="EUR")

    report = audit.run()

    assert report.violations == []
    assert report.foreign_lines > before + 3
    assert f"; {report.foreign_lines} ledger lines of others" in report.summary


def test_a_foreign_line_is_shown_by_the_command(orders, capsys):
    charge("phone-order-17")
    call_command("audit")
    assert "ledger lines of others" in capsys.readouterr().out


class Ledger:
    """A payment provider whose ledger is what a test says."""

    def __init__(self, *lines: LedgerLine) -> None:
        self.lines = lines

    def ledger(self, _since: object = None):
        return iter(self.lines)


def test_a_line_of_ours_that_cannot_be_read_is_a_violation_and_hides_no_other(orders, monkeypatch):
    order = Order.objects.get(pk=orders["id"])
    lines = [*gateway().ledger(), LedgerLine(str(order.uuid), flaw="captured is no amount")]
    lines.append(LedgerLine("of others", flaw="captured is no amount"))
    monkeypatch.setattr(audit, "gateway", lambda _name: Ledger(*lines))
    report = audit.run()
    (violation,) = report.violations
    assert (violation.subject, "captured is no amount" in violation.details) == (str(order.pk), True)


def test_an_order_of_ours_in_two_currencies_is_a_violation(orders, monkeypatch):
    order = Order.objects.get(pk=orders["id"])
    more = LedgerLine(str(order.uuid), "EUR", Decimal(1), Decimal(1), captures=1)
    lines = [*gateway().ledger(), more]
    monkeypatch.setattr(audit, "gateway", lambda _name: Ledger(*lines))
    (violation,) = audit.run().violations
    assert violation.subject == str(order.pk)


def test_an_order_whose_journal_is_broken_does_not_stop_the_audit(orders):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_journey SET sequence = sequence - 1 WHERE order_id = %s", [orders["held"]]
        )
        cursor.execute(
            "UPDATE orders_journey SET sequence = sequence - 1 WHERE order_id = %s", [orders["id"]]
        )
    assert ", 0 violations" not in audit.take_turn()


def test_the_ledger_is_read_as_a_whole_once_a_day_and_by_window_between(orders, monkeypatch):
    windows: list[datetime | None] = []
    whole = type(gateway()).ledger

    def ledger(self: PaymentGateway, since: datetime | None = None) -> Iterator[LedgerLine]:
        windows.append(since)
        return whole(self) if since is None else iter(())

    monkeypatch.setattr(type(gateway()), "ledger", ledger)
    Order.objects.update(placed_at=database_now() - timedelta(days=3))
    assert ", 0 violations" in audit.take_turn()
    assert ", 0 violations" in audit.take_turn()  # an old order needs no line in the window
    assert (windows[0], windows[1] is None) == (None, False)

    Order.objects.update(placed_at=database_now())
    assert ", 1 violations" in audit.take_turn()
