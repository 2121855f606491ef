"""The API has what the admin has: stuck orders by cause, tasks, money, products, shipping rates."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection, transaction
from rest_framework.test import APIClient

from inventory.models import Product, StockItem
from orders.models import Order
from orders.status import Status
from scheduling.slots import database_now
from shipping.models import Zone
from tests.factories import make_order, make_product, make_shipping, make_transaction
from tests.fixtures.pipeline import work_off
from tests.orders.conftest import client_of
from tests.waiting import until

T = TypeVar("T")

pytestmark = pytest.mark.django_db(transaction=True)

RATE = {"maxWeightGrams": 1000, "price": 12.5, "freeFrom": 100}
ZONE = {"name": "Islands", "countries": ["IS", "FO"], "rates": [RATE]}
PRODUCT = {"sku": "LMP-1", "name": "Lamp", "price": 12.5, "weightGrams": 300, "reorderLevel": 4}


@pytest.fixture
def api(unlimited) -> APIClient:
    return client_of(User.objects.create_superuser("admin"))


@pytest.fixture
def stuck() -> Order:
    """An escalated order of two units of 10 USD."""
    placed = make_order((make_product(), 2))
    order = Order.objects.select_related("journey").get(pk=placed.order_id)
    order.journey.attention, order.journey.due_at = "claimed 5 times without getting anywhere", None
    order.journey.status = Status.PROCESSING
    order.journey.save()
    return order


def code_and_field(answer) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error.get("field")


# --- Orders that do not get on ---


def test_what_keeps_orders_is_listed_and_acted_on_as_a_whole(api, stuck):
    (group,) = api.get("/api/orders/stuck").json()["results"]
    assert (group["orders"], group["amounts"]) == (1, [{"currency": "USD", "amount": 20.0}])
    preview = api.post("/api/orders/stuck/retry", {"cause": group["cause"], "preview": True}).json()
    assert (preview["orders"], preview["done"]) == (1, 0)
    assert preview["effects"][0] == "Retries it now, from where it stopped: 1 order"
    done = api.post("/api/orders/stuck/retry", {"cause": group["cause"], "reason": "The cable is in."}).json()
    assert (done["orders"], done["done"], done["more"]) == (1, 1, False)
    assert "The cable is in." in LogEntry.objects.get().get_change_message()
    again = api.post("/api/orders/stuck/retry", {"cause": group["cause"]}).json()
    assert (again["orders"], again["done"]) == (0, 0)


def test_orders_are_not_called_off_without_a_reason(api, stuck):
    (group,) = api.get("/api/orders/stuck").json()["results"]
    answer = api.post("/api/orders/stuck/cancel", {"cause": group["cause"]})
    assert code_and_field(answer) == (400, "required", "reason")
    stuck.journey.refresh_from_db()
    assert stuck.journey.status == Status.PROCESSING


def test_what_staff_do_to_one_order_is_noted_once_with_who_and_why(api, stuck):
    for _ in range(2):
        api.post(f"/api/orders/{stuck.pk}/cancel", {"reason": "A recall."})
    (entry,) = LogEntry.objects.all()
    assert (entry.user.username, entry.object_id) == ("admin", str(stuck.pk))
    assert entry.get_change_message().startswith("Cancel (A recall.): is cancel")


def test_an_order_tells_its_tasks(api, providers):
    make_shipping()
    placed = make_order((make_product(), 1))
    work_off()
    tasks = api.get(f"/api/orders/{placed.number}/tasks").json()["results"]
    assert {task["name"] for task in tasks} == {"reserve_stock", "quote_shipping", "authorize_payment"}


# --- Money ---


def test_transactions_are_listed_by_what_narrows_them(api, stuck):
    for kind, state in (("authorize", "succeeded"), ("capture", "unknown")):
        long_ago = database_now().replace(year=2020)
        make_transaction(stuck, kind, amount="41.20", state=state, started_at=long_ago)
    every = api.get("/api/payments/transactions").json()
    assert ([each["kind"] for each in every["results"]], every["next"]) == (["authorize", "capture"], None)
    (unknown,) = api.get(f"/api/payments/transactions?state=unknown&order={stuck.number}").json()["results"]
    assert (unknown["kind"], unknown["amount"]) == ("capture", 41.2)
    risk = api.get("/api/payments/at-risk").json()
    assert risk["sums"] == [{"currency": "USD", "amount": 41.2}]
    assert risk["results"][0]["orderNumber"] == stuck.number
    for value in ("lost", ""):
        answer = api.get(f"/api/payments/transactions?state={value}")
        assert code_and_field(answer) == (400, "invalid_parameter", "state")


# --- Products ---


def test_a_product_is_added_changed_and_retired(api):
    made = api.post("/api/inventory", PRODUCT)
    assert made.status_code == 201, made.content
    assert (made.json()["available"], made.json()["reorderLevel"]) == (0, 4)
    changed = api.patch("/api/inventory/LMP-1", {"price": 14, "active": False, "reorderLevel": 0}).json()
    assert (changed["price"], changed["active"], changed["reorderLevel"]) == (14.0, False, 0)
    assert Product.objects.get(sku="LMP-1").weight_grams == 300
    assert [entry.user.username for entry in LogEntry.objects.all()] == ["admin", "admin"]


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"price": -1}, "too_small", "price"),
        ({"price": "much"}, "wrong_type", "price"),
        ({"price": 1.234}, "too_many_decimals", "price"),
        ({"name": ""}, "too_short", "name"),
        ({"name": "x" * 121}, "too_long", "name"),
        ({"sku": "SKU-TAKEN"}, "already_there", "sku"),
        ({"weightGrams": -1}, "too_small", "weightGrams"),
        ({"onHand": 5}, "unknown_field", "onHand"),
    ],
)
def test_a_product_that_is_nonsense_is_refused(api, wrong, code, field):
    Product.objects.create(sku="SKU-TAKEN", name="Taken", price=1)
    assert code_and_field(api.post("/api/inventory", PRODUCT | wrong)) == (400, code, field)
    assert not StockItem.objects.exists()


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"reason": "x"}, "required", "by"),
        ({"by": "many", "reason": "x"}, "wrong_type", "by"),
        ({"by": 2_000_000, "reason": "x"}, "too_large", "by"),
        ({"by": 1, "reason": ""}, "too_short", "reason"),
        ({"by": 1, "reason": None}, "wrong_type", "reason"),
        ({"by": 1, "reason": "x", "force": True}, "unknown_field", "force"),
        ({"by": 0, "reason": "x"}, "zero", "by"),
    ],
)
def test_an_adjustment_is_refused_in_the_words_of_the_rest_of_the_api(api, body, code, field):
    product = make_product()
    assert code_and_field(api.post(f"/api/inventory/{product.pk}/adjust", body)) == (400, code, field)


def test_what_is_about_to_run_out_is_listed(api):
    make_product("Plenty", units=100)
    make_product("Scarce", units=3)
    listed = api.get("/api/inventory?runsLow=true").json()["results"]
    assert [product["name"] for product in listed] == ["Scarce"]
    answer = api.get("/api/inventory?pageSize=0")
    assert code_and_field(answer) == (400, "invalid_parameter", "pageSize")


# --- The tariff ---


def test_a_zone_is_added_replaced_and_deleted(api):
    made = api.post("/api/shipping/zones", ZONE)
    assert made.status_code == 201, made.content
    zone = made.json()
    assert (zone["countries"], zone["rates"][0]["price"]) == (["FO", "IS"], 12.5)
    replaced = api.put(f"/api/shipping/zones/{zone['id']}", ZONE | {"countries": ["IS"], "rates": []}).json()
    assert (replaced["countries"], replaced["rates"]) == (["IS"], [])
    assert api.get("/api/shipping/zones").json()["results"] == [replaced]
    assert api.delete(f"/api/shipping/zones/{zone['id']}").status_code == 204
    assert not Zone.objects.exists()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": "Other"}, "countries"),
        ({"countries": ["DE"]}, "name"),
        ({"name": "Other", "countries": ["DE", "de"]}, "countries"),
        ({"name": "Other", "countries": ["DE"], "rates": [RATE, RATE]}, "rates"),
    ],
)
def test_a_zone_that_takes_what_another_has_is_refused_and_leaves_all_as_it_was(api, changed, field):
    api.post("/api/shipping/zones", ZONE)
    assert code_and_field(api.post("/api/shipping/zones", ZONE | changed)) == (409, "already_there", field)
    assert Zone.objects.count() == 1


@pytest.mark.parametrize(
    ("path", "body", "field", "rule"),
    [
        ("/api/shipping/zones", {"price": 500.4}, "rates[0].price", "JPY has no decimals."),
        ("/api/shipping/zones", {"freeFrom": 0.5}, "rates[0].freeFrom", "JPY has no decimals."),
        (
            "/api/shipping/zones",
            {"price": 1.234, "currency": "USD"},
            "rates[0].price",
            "USD has at most 2 decimals.",
        ),
        ("/api/inventory", {"price": 19.5, "currency": "JPY"}, "price", "JPY has no decimals."),
        ("/api/inventory", {"price": 1.2345}, "price", "No currency has more than three decimals."),
    ],
)
def test_an_amount_that_is_finer_than_its_currency_is_refused_with_the_rule(api, path, body, field, rule):
    rate = {"maxWeightGrams": 500, "price": 500, "currency": "JPY"}
    sent = ZONE | {"rates": [rate | body]} if "zones" in path else PRODUCT | body
    answer = api.post(path, sent)
    assert code_and_field(answer) == (400, "too_many_decimals", field)
    assert answer.json()["error"]["message"] == rule


@pytest.mark.parametrize("sku", ["A/B", "A\\B", "A?B", "A#B", "100%", ".", "..", "sync"])
def test_a_product_that_no_address_could_name_is_refused(api, sku):
    assert code_and_field(api.post("/api/inventory", PRODUCT | {"sku": sku})) == (
        400,
        "not_addressable",
        "sku",
    )


@pytest.mark.parametrize(
    ("field", "text"),
    [("sku", "lmp-1"), ("sku", "LMP\u00a01"), ("name", " laMP  one "), ("name", "Lamp\u00a0One")],
)
def test_a_product_that_a_person_could_not_tell_from_another_is_refused(api, field, text):
    first = PRODUCT | {"sku": "LMP-1" if text == "lmp-1" else "LMP 1", "name": "Lamp One"}
    assert api.post("/api/inventory", first).status_code == 201

    second = {"sku": "OTHER", "name": "Other", "price": 1} | {field: text}
    assert code_and_field(api.post("/api/inventory", second)) == (400, "already_there", field)


@pytest.mark.parametrize("field", ["sku", "name"])
def test_a_product_that_another_request_adds_meanwhile_is_refused_by_name(api, field):
    other = Product(**{"sku": "OTHER", "name": "Other", "price": 1, field: PRODUCT[field]})
    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            other.save()
            answer = threads.submit(closing(lambda: api.post("/api/inventory", PRODUCT)))
            until(is_one_waiting)
        assert code_and_field(answer.result()) == (400, "already_there", field)


def is_one_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() > (0,)


def closing(work: Callable[[], T]) -> Callable[[], T]:
    """Return the work of a thread, which closes its connection at the end."""

    def run() -> T:
        try:
            return work()
        finally:
            connection.close()

    return run


def test_a_product_keeps_what_it_is_called(api):
    made = api.post("/api/inventory", PRODUCT).json()

    again = api.patch(f"/api/inventory/{made['id']}", {"sku": "lmp-1", "name": "Lamp"})
    assert (again.status_code, again.json()["sku"]) == (200, "lmp-1")


@pytest.mark.parametrize("currency", ["usd", "$", "XX", "XYZ"])
def test_a_currency_that_does_not_exist_is_refused(api, currency):
    assert code_and_field(api.post("/api/inventory", PRODUCT | {"currency": currency})) == (
        400,
        "unknown_currency",
        "currency",
    )
    rates = [{"maxWeightGrams": 1000, "price": 12.5, "currency": currency}]
    answer = api.post("/api/shipping/zones", ZONE | {"rates": rates})
    assert code_and_field(answer) == (400, "unknown_currency", "rates[0].currency")


@pytest.mark.parametrize(
    ("currency", "price", "status"), [("JPY", 1999.99, 400), ("JPY", 1999, 201), ("KWD", 1.23, 201)]
)
def test_a_price_has_the_decimals_of_its_currency(api, currency, price, status):
    answer = api.post("/api/inventory", PRODUCT | {"currency": currency, "price": price})
    assert answer.status_code == status
    rates = [{"maxWeightGrams": 1000, "price": price, "currency": currency}]
    assert api.post("/api/shipping/zones", ZONE | {"rates": rates}).status_code == status


def test_a_currency_is_not_changed_to_one_that_the_price_does_not_fit(api):
    made = api.post("/api/inventory", PRODUCT).json()
    answer = api.patch(f"/api/inventory/{made['id']}", {"currency": "JPY"})
    assert code_and_field(answer) == (400, "too_many_decimals", "price")


def test_countries_are_taken_in_small_letters_and_unknown_ones_refused_in_words(api):
    made = api.post("/api/shipping/zones", ZONE | {"countries": ["is", "fo"]})
    assert made.json()["countries"] == ["FO", "IS"]
    answer = api.post("/api/shipping/zones", ZONE | {"name": "Other", "countries": ["UK"]})
    assert code_and_field(answer) == (400, "unknown_country", "countries")
    assert "ISO 3166" in answer.json()["error"]["message"]


@pytest.mark.parametrize("text", ["cafe\u0301", "caf\u00e9", "CAFE\u0301"])
def test_a_search_of_products_finds_either_normal_form(api, text):
    api.post("/api/inventory", PRODUCT | {"name": "Caf\u00e9 lamp"})
    api.post("/api/inventory", PRODUCT | {"sku": "LMP-2", "name": "Cafe\u0301 table"})

    assert len(api.get("/api/inventory", {"search": text}).json()["results"]) == 2
