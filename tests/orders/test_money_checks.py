"""What the audit proves of money can fail: each check is broken once, and names the order."""

import pytest
from django.db import connection, transaction

from orders.maintenance.money_checks import CHECKS
from orders.refunding import parts
from orders.refunding.amounts import Wish
from tests.factories import make_order, make_product, make_shipping
from tests.fixtures.pipeline import work_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("providers")]

OWES = "Money: the books say of each order what it owes"
ITS_OWN = "Money: what was asked for is the order's, under its key"
CAPTURED = "Money: no more is captured than was authorized"
REFUNDED = "Money: no more is refunded than was captured"
OF_A_CAPTURE = "Money: no more of a capture is refunded than it took"
IN_PARTS = "Money: an order that staff capture has not all of it captured"
REVERSAL = "Money: a reversal is of what succeeded"
ONCE = "Money: each credit is refunded once"
UNITS = "Money: no more units are refunded than were ordered"
HELD = "Money: nothing is held for an order that ended without it"
LOOKED_UP = "Money: what is decided later is looked up until then"
IN_TIME = "Money: no order waits for its payment after the time to pay"
BY_HAND = "Money: of what arrived by hand, pay it back by hand what is too much"
AT_REST = "Money: no order at rest waits for the provider's answer"

AGAIN = """
    INSERT INTO payments_transaction (order_id, number, parent, credit, key, kind, gateway, reference, amount,
        currency, token, state, provider_id, code, message, started_at)
    SELECT order_id, {number}, {parent}, {credit}, key || ':again', {kind}, gateway, reference, {amount}, currency,
        '', '{state}', '', '', '', now() FROM payments_transaction WHERE order_id = %(id)s AND number = {of}
"""
SAME = {"parent": "parent", "credit": "credit", "kind": "kind", "amount": "amount", "state": "succeeded"}
UNDECIDED = "UPDATE payments_transaction SET state = 'unknown', code = 'pending' WHERE order_id = %(id)s AND number = 4"
WAITS = """
    UPDATE payments_transaction SET state = 'unknown', action = jsonb_build_object('payBy', now() - interval '{ago}')
    WHERE order_id = %(id)s AND number = 1;
    UPDATE orders_journey SET status = 'processing' WHERE order_id = %(id)s
"""
ARRIVED = """
    INSERT INTO payments_manualentry (key, kind, asked_for, reference, amount, currency)
    SELECT kind || uuid, kind, '', uuid, amount, 'USD'
    FROM orders_order, (VALUES ('capture', 35), ('received', {much})) AS e (kind, amount) WHERE id = %(id)s
"""

# Of `%(id)s`, an order of three units at 10.00 with 5.00 for shipping, one unit of it refunded; and `%(refused)s`,
# whose payment was declined.
BROKEN = [
    (OWES, "UPDATE payments_transaction SET state = 'declined' WHERE order_id = %(id)s AND number = 4"),
    (OWES, "UPDATE orders_journey SET status = 'cancelled' WHERE order_id = %(id)s"),
    (ITS_OWN, "UPDATE payments_transaction SET key = 'mine' WHERE order_id = %(id)s AND number = 4"),
    (CAPTURED, AGAIN.format(number=12, of=2, **SAME)),
    (CAPTURED, "UPDATE payments_transaction SET state = 'declined' WHERE order_id = %(id)s AND number = 1"),
    (REFUNDED, AGAIN.format(number=14, of=4, **SAME | {"amount": "25.01", "credit": "NULL"})),
    (
        REFUNDED,
        AGAIN.format(number=14, of=4, **SAME | {"amount": "25.01", "credit": "NULL", "state": "unknown"}),
    ),
    (REVERSAL, AGAIN.format(number=15, of=4, **SAME | {"kind": "'reversal'", "parent": "14"})),
    (ONCE, AGAIN.format(number=14, of=4, **SAME)),
    (ONCE, AGAIN.format(number=14, of=4, **SAME | {"credit": "2"})),
    (ONCE, "UPDATE orders_credit SET amount = amount + 1"),
    (UNITS, "UPDATE orders_credit SET lines = jsonb_set(lines, '{0,1}', '4')"),
    (OF_A_CAPTURE, "UPDATE payments_transaction SET amount = 36 WHERE order_id = %(id)s AND kind = 'refund'"),
    (IN_PARTS, "UPDATE orders_journey SET payment = 'held' WHERE order_id = %(id)s"),
    (HELD, "UPDATE payments_transaction SET state = 'succeeded' WHERE order_id = %(refused)s"),
    (LOOKED_UP, UNDECIDED),
    (IN_TIME, WAITS.format(ago="2 hours")),
    (BY_HAND, ARRIVED.format(much=36)),
    (AT_REST, UNDECIDED),
]
DUE = "UPDATE orders_journey SET due_at = now() WHERE order_id = %(id)s"
# What is near it, and no violation.
FINE = [
    (REFUNDED, AGAIN.format(number=14, of=4, **SAME | {"amount": "25.00", "credit": "NULL"})),
    (LOOKED_UP, f"{UNDECIDED}; {DUE}"),
    (IN_TIME, WAITS.format(ago="59 minutes")),
    (BY_HAND, ARRIVED.format(much=35)),
]


@pytest.fixture
def orders() -> dict[str, int]:
    make_shipping()
    product = make_product(units=9)
    placed = make_order((product, 3)), make_order((product, 1), token="tok_declined")
    work_off()
    parts.refund_part(order_id=placed[0].order_id, wish=Wish(items=[(product.pk, 1)]))
    work_off()
    return {"id": placed[0].order_id, "refused": placed[1].order_id}


def found(check: str, orders: dict[str, int], tampering: str = "") -> list[str]:
    """Return whom a check names after the tampering, which is undone."""
    with transaction.atomic(), connection.cursor() as cursor:
        if tampering:
            cursor.execute(tampering, orders)
        cursor.execute(CHECKS[check])
        transaction.set_rollback(True)
        return [subject for subject, _ in cursor.fetchall()]


def test_each_check_names_the_order_that_breaks_it(orders):
    assert {check: names for check in CHECKS if (names := found(check, orders))} == {}
    mine = {str(order_id) for order_id in orders.values()}
    missed = [(check, done) for check, done in BROKEN if not mine & set(found(check, orders, done))]
    assert missed == []
    wrong = [(check, done) for check, done in FINE if found(check, orders, done)]
    assert wrong == []


def test_each_check_is_broken_once():
    assert {check for check, _ in BROKEN} == set(CHECKS)
