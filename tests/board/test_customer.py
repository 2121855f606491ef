"""The customer's page in plain words: what happens, and where the money is."""

import re
from decimal import Decimal
from html import unescape

import pytest

from orders.commands import cancel_order, complete_order
from orders.models import Journey
from orders.refunding.amounts import Wish
from orders.refunding.parts import refund_part
from tests.factories import make_order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def page(browser_of, alice):
    """Return the customer's page of an order, without its tags."""

    def read(order) -> str:
        html = browser_of(alice).get(f"/track/{order.uuid}", follow=True).content.decode()
        return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))

    return read


@pytest.fixture
def settled(alice, product, providers, drain):
    """Return an order that has gone as far as it gets."""

    def order(quantity: int = 1, **how):
        placed = make_order((product, quantity), owner=alice, **how)
        drain()
        return placed

    return order


def test_one_that_waits_its_turn_has_cost_nothing(page, alice, product):
    text = page(make_order((product, 1), owner=alice))
    assert "We've received your order" in text
    assert "Nothing has been charged yet." in text


def test_one_on_hold_is_not_said_to_be_late(page, alice, product):
    text = page(make_order((product, 1), owner=alice, hold=True))
    assert "Your order is on hold" in text
    assert "longer than usual" not in text


def test_a_confirmed_one_is_paid_and_says_what_a_cancellation_brings(page, settled):
    order = settled(quantity=2)
    text = page(order)
    assert "Your order is confirmed" in text
    assert "$25.00 is paid" in text
    assert "You'll be refunded $25.00." in text
    assert "Releases 2 units" not in text


def test_one_refunded_in_part_says_how_much_and_what_a_cancellation_brings(page, settled, drain):
    order = settled(quantity=2)
    refund_part(order_id=order.order_id, wish=Wish(amount=Decimal(4)))
    assert "Your refund of $4.00 is on its way." in page(order)
    drain()
    refund_part(order_id=order.order_id, wish=Wish(amount=Decimal(6)))
    text = page(order)
    assert "You were refunded $4.00. Your refund of $6.00 is on its way." in text
    assert "Confirmed Partly refunded" in text
    assert "You'll be refunded $21.00." in text


def test_one_handed_over_cannot_be_cancelled_any_more(page, settled):
    order = settled()
    complete_order(order_id=order.order_id)
    text = page(order)
    assert "Your order has shipped" in text
    assert "Cancel order" not in text


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"token": "tok_declined"}, "Your bank declined the payment."),
        ({"country": "AQ"}, "We don't deliver to this address."),
        ({"quantity": 1000}, "Not everything you ordered is in stock."),
    ],
)
def test_a_refused_one_says_why_and_that_it_cost_nothing(page, settled, how, why):
    settled()  # so that there are not a thousand units any more
    text = page(settled(**how))
    assert "We couldn't process your order" in text
    assert why in text
    assert "You were not charged." in text


def test_a_providers_own_code_is_for_staff(page, settled):
    order = settled(token="tok_declined")
    Journey.objects.filter(pk=order.order_id).update(reason="stolen_card")
    text = page(order)
    assert "The payment was declined." in text
    assert "stolen" not in text


def test_a_cancelled_one_says_that_the_money_went_back_and_repeats_the_reason(page, settled, drain):
    order = settled(quantity=2)
    cancel_order(order_id=order.order_id, reason="changed_mind, see ABC_12")
    assert "Your refund of $25.00 is on its way." in page(order)
    drain()
    text = page(order)
    assert "Your order is cancelled and refunded" in text
    assert "You were refunded $25.00." in text
    assert "Reason: changed_mind, see ABC_12" in text


def test_an_unknown_order_and_a_foreign_one_are_the_same_to_a_stranger(browser_of, alice, product):
    foreign = make_order((product, 1))
    for uuid in (foreign.uuid, "00000000-0000-0000-0000-000000000000"):
        answer = browser_of(alice).get(f"/track/{uuid}")
        assert answer.status_code == 404
        assert b"We can't find this order" in answer.content
        assert b"You are logged in as alice." in answer.content
        assert b"default-src" in answer["Content-Security-Policy"].encode()


def test_one_that_queues_for_the_last_items_says_so_and_that_it_costs_nothing(page, alice, product):
    order = make_order((product, 1), owner=alice)
    Journey.objects.filter(order_id=order.order_id).update(
        status="processing", stock="short", waiting_for="stock_reserved_by_others"
    )
    text = page(order)
    assert "You're next in line if any become available." in text
    assert "We charge you only once the items are yours." in text


def test_one_that_has_to_wait_says_so_and_goes_on_by_itself(page, alice, product):
    order = make_order((product, 1), owner=alice)
    Journey.objects.filter(order_id=order.order_id).update(
        status="processing", waiting_for="payment_provider"
    )
    assert "This is taking longer than usual." in page(order)
