"""Several lines of one product, which differ in price or properties: one stock, and a refund for each line."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User

from inventory.models import Reservation, StockItem
from inventory.stock import Wanted
from orders.maintenance import archive, audit
from orders.models import ArchivedOrder, ArchivedUnits, Journey, Order, OrderLine
from orders.placing.pricing import NewOrder, WantedLine
from orders.placing.single import Placed, place_order
from orders.refunding import crediting, parts
from orders.refunding.amounts import Place, SeveralLines, Wish
from orders.reporting import analytics
from orders.rules.adjustments import Adjustment
from orders.waits import shortages
from scheduling.slots import database_now
from tests.factories import make_product, make_shipping, make_user
from tests.orders.conftest import an_order, client_of

HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def product():
    make_shipping()
    return make_product(price="10.00", units=10)


@pytest.fixture
def place(product) -> Callable[..., Placed]:
    """Place an order of one line at 10.00 each and others: (units, price, properties)."""

    def place_lines(*others: tuple[int, str | None, dict[str, str] | None], **more: Any) -> Placed:
        wanted = [(1, None, None), *others]
        return place_order(
            new=NewOrder(
                owner_id=make_user().pk,
                customer_name="Alice",
                lines=[
                    WantedLine(
                        units,
                        product.pk,
                        unit_price=None if price is None else Decimal(price),
                        properties=properties,
                    )
                    for units, price, properties in wanted
                ],
                currency="USD",
                country="US",
                payment_token="tok_demo",
                **more,
            )
        )

    return place_lines


def lines_of(order: Placed) -> list[tuple[int, int, Decimal, dict[str, str] | None]]:
    lines = OrderLine.objects.filter(order_id=order.order_id)
    return [(line.number, line.quantity, line.unit_price, line.properties) for line in lines]


def test_lines_stay_apart_that_differ_in_price_or_properties_and_others_are_merged(place):
    order = place((2, "8.00", None), (1, None, {"print": "A"}), (3, "8.00", None), (1, None, {"print": "A"}))
    assert lines_of(order) == [
        (0, 1, Decimal("10.00"), None),
        (1, 5, Decimal("8.00"), None),
        (2, 2, Decimal("10.00"), {"print": "A"}),
    ]
    assert order.goods_amount == Decimal("70.00")


def test_stock_is_reserved_and_sold_by_the_sum(place, product, providers, drain):
    order = place((4, "8.00", None))
    too_many = place((9, "8.00", None))
    drain()
    assert Reservation.objects.get().quantity == 5
    assert Order.objects.get(pk=too_many.order_id).journey.status == "rejected"
    assert audit.run().violations == []
    client_of(make_operator()).post(f"/api/orders/{order.order_id}/complete")
    drain()
    assert (StockItem.objects.get().sold, StockItem.objects.get().on_hand) == (5, 5)
    assert audit.run().violations == []


def test_a_queued_order_wants_the_sum(place, product):
    order = place((4, "8.00", None))
    Journey.objects.filter(order_id=order.order_id).update(stock="short", status="processing")
    shortages.update_queue(waiting=[order.order_id], was_waiting=[])
    assert shortages._queue()[order.order_id][0] == {product.pk: 5}


def test_a_refund_names_the_line_and_puts_its_units_back(place, product, providers, drain):
    order = place((4, "8.00", None))
    drain()
    with pytest.raises(SeveralLines):
        parts.refund_part(order_id=order.order_id, wish=Wish(items=[(product.pk, 1)]))
    credit = parts.refund_part(order_id=order.order_id, wish=Wish(items=[(Place(2), 3)], restock=True))
    assert (credit.amount, credit.lines) == (Decimal("24.00"), [[product.pk, 3, "24.00", 1]])
    drain()
    found = crediting.standing_of(order_of(order), [credit])
    assert [(item.quantity, item.credited) for item in found.items] == [(1, 0), (4, 3)]
    assert Reservation.objects.get().quantity == 2
    left = crediting.units_not_restocked([order.order_id], units_of(order))
    assert left == [Wanted(order.order_id, product.pk, 2)]
    assert audit.run().violations == []


def test_analytics_count_an_order_once_and_products_without_adjustments(place, product, providers, drain):
    order = place((4, "8.00", None), adjustments=[Adjustment("tax", "VAT", Decimal("4.20"))])
    drain()
    parts.refund_part(order_id=order.order_id, wish=Wish(items=[(Place(2), 4)]))
    drain()
    found = analytics.analyse(analytics.Span(order.placed_at - HOUR, order.placed_at + HOUR), unit="day")
    (sales,) = found.top_products
    assert (sales.units, sales.orders, sales.revenue) == (1, 1, Decimal("10.00"))
    assert sum(period.revenue for period in found.periods) == Decimal("15.00") + Decimal("1.00")


def test_an_archived_order_keeps_its_lines_and_what_it_sold(place, product, providers, drain):
    order = place((4, "8.00", {"print": "A"}))
    drain()
    parts.refund_part(order_id=order.order_id, wish=Wish(items=[(Place(2), 3)], restock=True))
    drain()
    client_of(make_operator()).post(f"/api/orders/{order.order_id}/complete")
    drain()
    assert list(archive.move(before=database_now()))
    kept = archive.rows_of(ArchivedOrder.objects.get(), "lines", OrderLine)
    assert [(line.number, line.quantity, line.properties) for line in kept] == [
        (0, 1, None),
        (1, 4, {"print": "A"}),
    ]
    assert ArchivedUnits.objects.get().quantity == 2
    assert audit.run().violations == []


def test_the_api_numbers_lines_and_a_refund_takes_the_number(operator, alice, unlimited, providers, drain):
    make_shipping(price="5.00")
    items = [{"productId": 1, "quantity": 1}, {"productId": 1, "quantity": 2, "properties": {"print": "A"}}]
    order = client_of(alice).post("/api/orders", an_order(items=items)).json()
    assert [(line["line"], line["quantity"], line["properties"]) for line in order["items"]] == [
        (1, 1, {}),
        (2, 2, {"print": "A"}),
    ]
    drain()
    where, client = f"/api/orders/{order['id']}/refunds", client_of(operator)
    ambiguous = client.post(where, {"items": [{"sku": "TEE-1", "quantity": 1}]}).json()["error"]
    assert (ambiguous["code"], ambiguous["field"]) == ("several_lines", "items[0].sku")
    done = client.post(where, {"items": [{"line": 2, "quantity": 1}]}).json()
    assert done["items"] == [{"productId": 1, "quantity": 1, "amount": 29.99, "line": 2}]
    assert client.get(where).json()["results"][0]["items"] == done["items"]
    unknown = client.post(where, {"items": [{"line": 3, "quantity": 1}]}).json()["error"]
    assert (unknown["code"], unknown["field"]) == ("not_ordered", "items[0].line")


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"": "x"}, "too_short"),
        ({"x" * 41: ""}, "too_long"),
        ({"x": "y" * 201}, "too_long"),
        ({"x": 1}, "wrong_type"),
    ],
)
def test_properties_are_few_and_small(as_alice, properties, code):
    items = [{"productId": 1, "quantity": 1, "properties": properties}]
    error = as_alice.post("/api/orders", an_order(items=items)).json()["error"]
    assert (error["code"], error["field"]) == (code, "items[0].properties")


def make_operator() -> User:
    return User.objects.create_superuser("boss")


def order_of(order: Placed) -> Order:
    return Order.objects.select_related("journey").get(pk=order.order_id)


def units_of(order: Placed) -> list[Wanted]:
    return [Wanted(order.order_id, line.product_id, line.quantity) for line in order_of(order).lines.all()]
