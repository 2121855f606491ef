"""Finding orders by whatever an operator has at hand."""

import unicodedata

import pytest
from django.contrib.auth.models import User

from orders.models import ArchivedOrder, Order
from orders.operators.search import found, named
from payments.models import Transaction
from tests.factories import make_order, make_product, make_transaction

pytestmark = pytest.mark.django_db


@pytest.fixture
def orders() -> tuple[Order, Order]:
    """Ann Web's order of a mug, and another one."""
    wanted = make_order((make_product("Mug"), 1), customer_name="Ann Müller-Web")
    other = make_order((make_product("Plate"), 1), customer_name="Bob Cobweb")
    Order.objects.filter(pk=wanted.order_id).update(
        email="kay@example.com", shipping_address={"postalCode": "SW1A 2AA"}
    )
    make_transaction(wanted, "authorize", provider_id="auth_7f31c2", state=Transaction.State.SUCCEEDED)
    return Order.objects.get(pk=wanted.order_id), Order.objects.get(pk=other.order_id)


def hits(text: str) -> list[int]:
    return list(found(Order.objects.order_by("pk"), text).values_list("pk", flat=True))


@pytest.mark.parametrize(
    "text",
    [
        "ann",
        "web",
        "müller-web",
        unicodedata.normalize("NFD", "Müller"),
        "kay",
        "kay@",
        "KAY@example",
        "sw1a 2aa",
        "auth_7f31c2",
    ],
)
def test_an_order_is_found_by_name_address_post_code_and_provider_id(orders, text):
    assert hits(text) == [orders[0].pk]


def test_an_order_is_found_by_a_part_of_its_number(orders):
    order = orders[0]
    for text in (f"#{order.pk}", f"# {order.pk}", order.number, order.number.lower(), order.number[18:]):
        assert hits(text) == [order.pk], text
    assert hits(order.number[:12]) == [each.pk for each in orders]
    assert hits(f"{order.placed_at:%Y%m%d}") == [each.pk for each in orders]


def test_an_order_is_found_by_a_sku_in_any_case(orders):
    sku = orders[0].lines.get().sku
    assert hits(sku.lower()) == [orders[0].pk]


def test_a_plain_number_is_an_id_and_no_part_of_a_number(orders):
    assert hits(str(orders[1].pk)) == [orders[1].pk]


@pytest.mark.parametrize("text", ["'", "%", "_", "#", "#0", "ORD-", "auth_%", "-", "9" * 30, "ORD-%"])
def test_odd_texts_are_no_error(orders, text):
    assert len(hits(text)) in (0, 2)


def test_orders_of_others_are_not_found(orders):
    stranger = User.objects.create_user("stranger")
    assert not found(Order.objects.filter(owner_id=stranger.pk), "web").exists()


def test_an_archived_order_is_found_as_printed(orders):
    ArchivedOrder.objects.create(
        id=7, uuid=orders[0].uuid, owner_id=1, month="2025-01-01", kept_amount=0, document={}
    )
    assert named(ArchivedOrder.objects.all(), "#7").exists()
