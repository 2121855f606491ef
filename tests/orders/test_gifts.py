"""Gifts, and orders of which there is nothing to pay."""

from decimal import Decimal

import pytest

from inventory.models import Product
from notifications import mail
from orders.commands import cancel_order
from orders.legs import PAYMENT, SHIPPING, STOCK
from orders.maintenance import audit
from orders.models import Order, OrderEvent
from orders.rules.leg_types import Mark
from orders.status import Status
from orders.workflow import JourneyState
from payments.models import Transaction
from tests.factories import make_order, make_product, make_shipping

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def free_shipping():
    make_shipping(price="0.00")


@pytest.fixture
def gift():
    return make_product(price="0.00")


def test_an_order_of_gifts_is_confirmed_without_a_payment(gift, free_shipping, providers, drain):
    placed = make_order((gift, 2))
    drain()
    journey = Order.objects.get(pk=placed.order_id).journey
    assert (journey.status, journey.payment) == ("confirmed", "free")
    assert journey.shipping_amount == 0
    assert not Transaction.objects.exists()
    types = OrderEvent.objects.filter(order_id=placed.order_id).values_list("type", flat=True)
    assert "payment_not_needed" in types
    assert audit.run().violations == []


def test_a_gift_beside_what_costs_or_is_shipped_is_paid_for(gift, providers, drain):
    make_shipping(price="5.00")
    placed = make_order((gift, 1))
    drain()
    assert Order.objects.get(pk=placed.order_id).journey.payment == PAYMENT.CAPTURED
    assert set(Transaction.objects.values_list("amount", flat=True)) == {Decimal("5.00")}


def test_free_and_paid_orders_of_one_batch_are_confirmed_together(gift, free_shipping, providers, drain):
    placed = [make_order((gift, 1)), make_order((make_product(), 1)), make_order((gift, 1))]
    drain()
    orders = Order.objects.filter(pk__in=[each.order_id for each in placed]).order_by("pk")
    assert [order.journey.payment for order in orders] == ["free", "captured", "free"]
    assert {order.journey.status for order in orders} == {"confirmed"}


def test_a_free_order_without_stock_is_rejected(free_shipping, providers, drain):
    placed = make_order((make_product(price="0.00", units=1), 2))
    drain()
    assert Order.objects.get(pk=placed.order_id).journey.status == "rejected"


def test_a_free_order_is_cancelled_without_a_refund(gift, free_shipping, providers, drain):
    placed = make_order((gift, 1))
    drain()
    cancel_order(order_id=placed.order_id, reason="changed mind")
    drain()
    journey = Order.objects.get(pk=placed.order_id).journey
    assert (journey.status, journey.stock) == ("cancelled", STOCK.RELEASED)
    assert not Transaction.objects.exists()
    assert audit.run().violations == []


def test_a_free_order_waits_for_its_stock():
    state = JourneyState(1, Status.PROCESSING, 3)
    state.shipping_quoted(Decimal(0), goods=Decimal(0))
    state.settle()
    assert (state.status, state.payment.mark, state.shipping) == (
        Status.PROCESSING,
        Mark.DONE,
        SHIPPING.QUOTED,
    )
    state.enter(STOCK.RESERVED)
    state.settle()
    assert state.status is Status.CONFIRMED


def test_the_mail_says_that_there_is_nothing_to_pay(gift, free_shipping, providers, drain):
    placed = make_order((gift, 1))
    drain()
    order = Order.objects.select_related("journey").get(pk=placed.order_id)
    events = list(OrderEvent.objects.filter(order_id=order.pk).order_by("sequence"))
    assert mail._context(order, [], events)["free"]
    assert not mail._context(order, [], events[:1])["free"]


def test_a_price_is_not_negative(gift):
    with pytest.raises(Exception, match="price_not_negative"):
        Product.objects.filter(pk=gift.pk).update(price=Decimal(-1))
