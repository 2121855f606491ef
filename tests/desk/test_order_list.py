"""The list of orders: filters by fields, saved filters, sorting, and what it shows as CSV."""

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from desk.models import Handling, SavedFilter
from orders.models import Order
from tests.factories import make_order, make_product

pytestmark = pytest.mark.django_db

LIST = "/admin/orders/order/"


def listed(client, query: str = "") -> list[str]:
    answer = client.get(f"{LIST}{query}")
    assert answer.status_code == 200, answer
    return [shown.number for shown in answer.context["cl"].result_list]


def exported(client, query: str = "") -> list[str]:
    answer = client.get(f"{LIST}export/{query}")
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode()
    return [row["orderNumber"] for row in csv.DictReader(io.StringIO(text))]


@pytest.fixture
def orders(operator) -> list[str]:
    """A mug for 10.00 of three days ago, and two plates for 40.00 of today."""
    mug, plate = make_product("Mug"), make_product("Plate", price="20.00")
    old = make_order((mug, 1), customer_name="Zoe")
    new = make_order((plate, 2), customer_name="Ann")
    Order.objects.filter(pk=old.order_id).update(placed_at=old.placed_at - timedelta(days=3))
    return [Order.objects.get(pk=each.order_id).number for each in (old, new)]


def days(number: str) -> str:
    return f"{number[4:8]}-{number[8:10]}-{number[10:12]}"


def test_orders_are_filtered_by_days_amount_and_product(client, orders):
    old, new = orders
    sku = Order.objects.get(pk=int(old[-4:])).lines.get().sku
    for query, wanted in {
        f"?from={days(new)}": [new],
        f"?to={days(old)}": [old],
        f"?from={days(old)}&to={days(new)}": [new, old],
        "?least=20": [new],
        "?most=20": [old],
        "?least=10&most=40.00": [new, old],
        f"?sku={sku.lower()}": [old],
        "?sku=none-such": [],
        f"?sku={sku}&least=20": [],
    }.items():
        assert listed(client, query) == wanted, query
        assert sorted(exported(client, query)) == sorted(wanted), query


@pytest.mark.parametrize("query", ["?from=yesterday", "?least=much", "?most=NaN", "?to=0001-01-01"])
def test_a_value_that_makes_no_sense_is_reported_and_exports_nothing(client, orders, query):
    answer = client.get(f"{LIST}{query}", follow=True)
    assert "such as" in answer.content.decode()
    assert client.get(f"{LIST}export/{query}").status_code == 302


def test_orders_are_filtered_by_assignee_and_tag(client, operator, orders):
    old, _ = orders
    Handling.objects.create(order_id=int(old[-4:]), assignee=operator, tags=["vip"])
    for query in ("?assignee=me", "?assignee=olga", "?tag=vip"):
        assert listed(client, query) == [old]


def test_the_download_has_all_pages_and_what_was_searched(client, orders):
    assert exported(client) == orders
    assert exported(client, "?q=zoe&p=1&o=1") == [orders[0]]


def test_an_onlooker_of_nothing_downloads_nothing(client, operator, orders):
    operator.user_permissions.clear()
    assert client.get(f"{LIST}export/").status_code == 403


def test_a_filter_is_saved_for_its_user_alone(client, operator, orders, django_user_model):
    form = {"name": "Big ones", "query": "least=20"}
    answer = client.post(f"{LIST}filters/", form, follow=True)
    assert 'href="?least=20"' in answer.content.decode()
    client.post(f"{LIST}filters/", form | {"query": "least=30"})
    saved = SavedFilter.objects.get()
    assert (saved.user, saved.query) == (operator, "least=30")
    foreign = SavedFilter.objects.create(
        user=django_user_model.objects.create_user("x"), name="Theirs", query="q=1"
    )
    assert "Theirs" not in client.get(LIST).content.decode()
    assert client.post(f"{LIST}filters/{foreign.pk}/delete/").status_code == 404
    assert client.post(f"{LIST}filters/{saved.pk}/delete/").status_code == 302
    assert list(SavedFilter.objects.all()) == [foreign]


def test_the_list_is_sorted_by_columns_that_have_an_index(client, orders):
    old, new = orders
    assert listed(client, "?o=1") == [old, new]  # number
    assert listed(client, "?o=5") == [new, old]  # customer
    with CaptureQueriesContext(connection) as captured:
        listed(client, "?o=5")
    (page,) = [query["sql"] for query in captured if query["sql"].startswith('SELECT "orders_order"."id"')]
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {page}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "orders_by_customer" in plan, plan
