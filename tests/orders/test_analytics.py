"""What was sold when, and what was refused."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from inventory.models import StockItem
from orders.commands import cancel_order
from orders.models import Order
from tests.factories import make_order, make_product, make_shipping, make_user

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 5, 12, 30, tzinfo=UTC)


@pytest.fixture
def shop(providers, drain):
    """Three days' orders: on the 5th two confirmed and one refused, on the 6th one cancelled, on the 9th one."""
    make_shipping()
    lamp, vase = make_product("Lamp", price="10.00"), make_product("Vase", price="40.00")
    gone = make_product("Gone")
    StockItem.objects.filter(product=gone).update(on_hand=0)
    placed = [
        make_order((lamp, 3)),
        make_order((lamp, 1), (vase, 1)),
        make_order((gone, 1)),
        make_order((vase, 1)),
        make_order((lamp, 1)),
    ]
    drain()
    cancel_order(order_id=placed[3].order_id, reason="Changed my mind")
    drain()
    days = (0, 0, 0, 1, 4)
    for order, day in zip(placed, days, strict=True):
        shift = NOON + timedelta(days=day) - order.placed_at
        Order.objects.filter(pk=order.order_id).update(placed_at=order.placed_at + shift)
        for event in Order.objects.get(pk=order.order_id).events.all():
            Order.objects.get(pk=order.order_id).events.filter(sequence=event.sequence).update(
                at=event.at + shift
            )


@pytest.fixture
def ask(client):
    client.force_login(make_user(is_staff=True))
    return lambda query="", ending="": client.get(f"/api/analytics{ending}?{query}")


def test_orders_and_revenue_by_day(shop, ask):
    periods = ask("from=2026-03-05&to=2026-03-06").json()["periods"]
    assert [period["start"][:10] for period in periods] == ["2026-03-05", "2026-03-06"]
    first, second = periods
    assert (first["placed"], first["confirmed"], first["refused"]) == (3, 2, 1)
    assert first["revenue"] == 90.0  # 30 and 50 for goods, twice 5 for shipping
    assert first["currency"] == "USD"
    assert first["medianSecondsToConfirm"] > 0
    assert (second["placed"], second["cancelled"], second["revenue"]) == (1, 1, 0)
    for period in periods:
        counts = ("confirmed", "refused", "cancelled", "inProgress")
        assert period["placed"] == sum(period[count] for count in counts)


def test_orders_by_hour(shop, ask):
    (period,) = ask("from=2026-03-05&to=2026-03-05&per=hour").json()["periods"]
    assert period["start"] == "2026-03-05T12:00:00Z"


def test_the_products_that_brought_in_most_come_first(shop, ask):
    products = ask("from=2026-03-05&to=2026-03-09").json()["topProducts"]
    assert [(p["name"], p["units"], p["orders"], p["revenue"]) for p in products] == [
        ("Lamp", 5, 3, 50),
        ("Vase", 1, 1, 40),
    ]


def test_refusals_say_why(shop, ask):
    reasons = ask("from=2026-03-05&to=2026-03-05").json()["refusalReasons"]
    assert reasons == [{"reason": "out_of_stock", "orders": 1}]


def test_a_stretch_without_orders_is_empty(shop, ask):
    body = ask("from=2026-03-07&to=2026-03-08").json()
    assert body == {"periods": [], "topProducts": [], "refusalReasons": []}


def test_a_table_for_spreadsheets(shop, ask):
    answer = ask("from=2026-03-05&to=2026-03-06", ending=".csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    first, _ = csv.DictReader(io.StringIO(answer.content.decode()))
    assert (first["placed"], Decimal(first["revenue"])) == ("3", Decimal(90))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=2026-13-01", "to"),
        ("per=week", "per"),
        ("from=2026-03-05&to=2026-03-04", "from"),
        ("from=2024-01-01&to=2026-01-01", "from"),
        ("from=2026-01-01&to=2026-03-01&per=hour", "from"),
        ("to=0001-01-01", "to"),
        ("to=9999-12-31", "to"),
    ],
)
def test_a_stretch_that_makes_no_sense_is_refused(ask, query, field):
    answer = ask(query)
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["field"]) == ("invalid_parameter", field)


def test_it_is_for_staff(client):
    client.force_login(make_user())
    assert client.get("/api/analytics").status_code == 403
    assert client.get("/api/analytics.csv").status_code == 403


@pytest.mark.parametrize("accept", ["text/csv", "text/csv; charset=utf-8", "text/html", "*/*"])
def test_the_table_is_given_to_who_asks_for_what_it_is(client, accept):
    client.force_login(make_user(is_staff=True))
    answer = client.get("/api/analytics.csv", headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/csv; charset=utf-8")
