"""The inventory API."""

from decimal import Decimal

import pytest
import redis
from django.conf import settings as django_settings
from django.utils import timezone
from kombu import Connection
from rest_framework.test import APIClient

from config.celery import app
from inventory.listing_cache import ANSWERS, MOST_ANSWERS, MOST_ITEMS, Answers, forget_listings, remembered
from inventory.models import Product, StockChange, StockItem
from sandbox.process import free_port
from tests.inventory.goods import make_product, units

pytestmark = pytest.mark.django_db

STAFF_ONLY = {"active", "onHand", "reserved", "sold", "reorderLevel"}


def ids(response) -> list[int]:
    assert response.status_code == 200, response.content
    return [product["id"] for product in response.json()["results"]]


def error(response) -> tuple[int, str, str | None]:
    """Return (status, code, field)."""
    told = response.json()["error"]
    return response.status_code, told["code"], told.get("field")


class TestList:
    def test_a_customer_sees_what_can_be_ordered(self, customer):
        make_product(1, on_hand=10, reserved=3, price="29.99", weight_grams=540, category="Audio")
        [product] = customer.get("/api/inventory").json()["results"]
        assert product == {
            "id": 1,
            "sku": "SKU-1",
            "name": "Thing 1",
            "category": "Audio",
            "description": "",
            "price": 29.99,
            "currency": "USD",
            "weightGrams": 540,
            "available": 7,
        }

    def test_staff_also_see_where_the_units_are(self, staff):
        make_product(1, on_hand=10, reserved=3, sold=2)
        [product] = staff.get("/api/inventory").json()["results"]
        assert {name: product[name] for name in STAFF_ONLY} == {
            "active": True,
            "onHand": 10,
            "reserved": 3,
            "sold": 2,
            "reorderLevel": 10,
        }

    def test_retired_products_are_for_staff_only(self, customer, staff):
        make_product(1, active=False)
        make_product(2)
        assert ids(customer.get("/api/inventory")) == [2]
        assert ids(staff.get("/api/inventory")) == [1, 2]

    def test_a_product_without_stock_has_none_available(self, customer):
        make_product(1, on_hand=None)
        assert customer.get("/api/inventory").json()["results"][0]["available"] == 0

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("search=piano", [1, 2]),
            ("search=SKU-3", [3]),
            ("search=100%25", [3]),
            ("category=MUSIC", [1, 3]),
            ("inStock=true", [1, 3]),
            ("inStock=false", [2, 4]),
            ("category=Music&search=piano&inStock=true", [1]),
            ("search=nothing+of+the+kind", []),
            ("category=&search=&inStock=", [1, 2, 3, 4]),
        ],
    )
    def test_it_can_be_searched_and_filtered(self, customer, query, expected):
        make_product(1, name="Grand Piano", category="Music")
        make_product(2, name="Toy", description="A small piano.", on_hand=5, reserved=5)
        make_product(3, name="100% Wool", category="Music")
        make_product(4, on_hand=None)
        assert ids(customer.get(f"/api/inventory?{query}")) == expected

    def test_pages_follow_each_other_without_gap_or_repeat(self, customer):
        for number in range(1, 8):
            make_product(number)
        page, seen = customer.get("/api/inventory?pageSize=3&search=Thing"), []
        while True:
            seen.append(ids(page))
            if page.json()["next"] is None:
                break
            page = customer.get(page.json()["next"])
        assert seen == [[1, 2, 3], [4, 5, 6], [7]]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("pageSize=0", "pageSize"),
            ("pageSize=201", "pageSize"),
            ("pageSize=x", "pageSize"),
            ("cursor=-1", "cursor"),
            ("cursor=99999999999999999999999", "cursor"),
            ("pageSize=", "pageSize"),
            ("cursor=", "cursor"),
            ("runsLow=", "runsLow"),
            ("inStock=perhaps", "inStock"),
            (f"search={'x' * 101}", "search"),
            ("search=a%00b", "search"),
            ("category=%00", "category"),
        ],
    )
    def test_nonsense_is_refused_with_the_name_of_the_field(self, customer, query, field):
        status, code, named = error(customer.get(f"/api/inventory?{query}"))
        assert (status, named) == (400, field)
        assert code

    def test_nobody_sees_it_without_a_login(self):
        assert APIClient().get("/api/inventory").status_code == 401


class TestCache:
    def test_the_same_question_is_answered_from_the_cache_but_for_the_units(
        self, customer, django_assert_num_queries
    ):
        make_product(1, on_hand=10)
        customer.get("/api/inventory")
        Product.objects.get().stock.__class__.objects.update(reserved=4)
        with django_assert_num_queries(1):
            assert customer.get("/api/inventory").json()["results"][0]["available"] == 6

    def test_it_is_computed_anew_once_somebody_changed_a_product(
        self, customer, django_capture_on_commit_callbacks
    ):
        make_product(1, price="10.00")
        customer.get("/api/inventory")
        Product.objects.update(price=Decimal("12.00"))
        with django_capture_on_commit_callbacks(execute=True):
            forget_listings()
        assert customer.get("/api/inventory").json()["results"][0]["price"] == 12.0

    def test_staff_and_customers_do_not_get_each_others_answers(self, customer, staff):
        make_product(1, active=False)
        assert ids(staff.get("/api/inventory")) == [1]
        assert ids(customer.get("/api/inventory")) == []

    def test_without_valkey_the_database_answers(self, customer, settings):
        make_product(1)
        settings.CACHES = {
            "default": settings.CACHES["default"] | {"LOCATION": f"redis://127.0.0.1:{free_port()}/1"}
        }
        assert ids(customer.get("/api/inventory")) == [1]


class TestDetail:
    @pytest.mark.parametrize("reference", ["1", "SKU-1"])
    def test_a_product_has_an_id_and_a_sku(self, customer, reference):
        make_product(1, on_hand=10, reserved=3)
        product = customer.get(f"/api/inventory/{reference}").json()
        assert (product["id"], product["available"]) == (1, 7)
        assert not STAFF_ONLY & product.keys()

    def test_an_id_goes_before_a_sku_that_looks_like_one(self, customer):
        make_product(1, on_hand=None)
        Product.objects.create(id=2, sku="1", name="Confusing", price=1)
        assert customer.get("/api/inventory/1").json()["id"] == 1
        Product.objects.filter(id=1).update(id=3)
        assert customer.get("/api/inventory/1").json()["id"] == 2

    @pytest.mark.parametrize("reference", ["2", "NO-SUCH", "99999999999999999999999", "0", "-1", "%00", "²"])
    def test_what_is_not_there_is_not_found(self, customer, reference):
        make_product(1)
        assert error(customer.get(f"/api/inventory/{reference}"))[:2] == (404, "not_found")

    def test_a_retired_product_is_there_for_staff_only(self, customer, staff):
        make_product(1, active=False)
        assert customer.get("/api/inventory/1").status_code == 404
        assert staff.get("/api/inventory/1").json()["active"] is False


class TestAdjust:
    def test_it_corrects_the_units_and_tells_who_and_why(self, keeper):
        make_product(1, on_hand=10, reserved=4)
        answer = keeper.post("/api/inventory/1/adjust", {"by": -3, "reason": "water damage"})
        assert answer.status_code == 200
        assert units(1) == (7, 4, 0)
        [change] = keeper.get("/api/inventory/SKU-1/changes").json()["results"]
        assert change == answer.json()
        assert (change["wanted"], change["applied"], change["onHandAfter"]) == (-3, -3, 7)
        assert (change["madeBy"], change["reason"], change["source"]) == ("kim", "water damage", "staff")

    def test_reserved_units_cannot_be_taken(self, keeper):
        make_product(1, on_hand=10, reserved=4)
        answer = keeper.post("/api/inventory/1/adjust", {"by": -7, "reason": "lost"})
        assert error(answer) == (409, "not_enough_free", "by")
        assert answer.json()["error"]["details"][0]["available"] == 6
        assert units(1) == (10, 4, 0)

    def test_a_product_without_stock_gets_some(self, keeper):
        make_product(1, on_hand=None)
        assert keeper.post("/api/inventory/1/adjust", {"by": 5, "reason": "new"}).status_code == 200
        assert units(1) == (5, 0, 0)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"reason": "x"}, "by"),
            ({"by": 0, "reason": "x"}, "by"),
            ({"by": 1.5, "reason": "x"}, "by"),
            ({"by": True, "reason": "x"}, "by"),
            ({"by": None, "reason": "x"}, "by"),
            ({"by": 10**7, "reason": "x"}, "by"),
            ({"by": -(10**30), "reason": "x"}, "by"),
            ({"by": 1}, "reason"),
            ({"by": 1, "reason": "  "}, "reason"),
            ({"by": 1, "reason": "x" * 201}, "reason"),
            ({"by": 1, "reason": "a\0b"}, "reason"),
            ({"by": 1, "reason": ["x"]}, "reason"),
        ],
    )
    def test_bad_input_is_refused_with_the_name_of_the_field(self, keeper, body, field):
        make_product(1, on_hand=10)
        status, _, named = error(keeper.post("/api/inventory/1/adjust", body))
        assert (status, named) == (400, field)
        assert units(1) == (10, 0, 0)
        assert not StockChange.objects.exists()

    @pytest.mark.parametrize("body", ["[]", '"x"', "null", "3", "{", ""])
    def test_a_body_that_is_no_object_is_refused(self, keeper, body):
        make_product(1)
        answer = keeper.post("/api/inventory/1/adjust", body, content_type="application/json")
        assert answer.status_code == 400

    def test_an_unknown_product_is_not_found(self, keeper):
        assert keeper.post("/api/inventory/9/adjust", {"by": 1, "reason": "x"}).status_code == 404

    def test_only_staff_who_may_change_stock_can(self, customer, staff):
        make_product(1, on_hand=10)
        for somebody in (customer, staff):
            answer = somebody.post("/api/inventory/1/adjust", {"by": 1, "reason": "x"})
            assert error(answer)[:2] == (403, "permission_denied")
        assert units(1) == (10, 0, 0)


class TestChanges:
    def test_they_are_listed_latest_first_and_in_pages(self, keeper):
        make_product(1)
        for by in (1, 2, 3):
            keeper.post("/api/inventory/1/adjust", {"by": by, "reason": "count"})
        first = keeper.get("/api/inventory/1/changes?pageSize=2").json()
        second = keeper.get(first["next"]).json()
        assert [change["wanted"] for change in first["results"] + second["results"]] == [3, 2, 1]
        assert second["next"] is None

    def test_those_of_the_sync_are_nobodys(self, keeper):
        make_product(1)
        StockItem.objects.take_over(received={1: 12}, reason="warehouse count", now=timezone.now())
        [change] = keeper.get("/api/inventory/1/changes").json()["results"]
        assert (change["source"], change["madeBy"], change["applied"]) == ("sync", None, 2)

    def test_they_are_for_staff(self, customer, staff):
        make_product(1)
        assert staff.get("/api/inventory/1/changes").json() == {"next": None, "results": []}
        assert customer.get("/api/inventory/1/changes").status_code == 403


class TestSync:
    def test_it_can_be_waited_for(self, keeper, warehouse):
        make_product(1, on_hand=1)
        warehouse.received(SKU_1=5, OTHER=1)
        answer = keeper.post("/api/inventory/sync?wait=true")
        assert answer.status_code == 200
        assert answer.json() == {
            "pages": 1,
            "products": 1,
            "differences": 1,
            "applied": 1,
            "unknown": 1,
            "stopped": None,
        }
        assert units(1) == (5, 0, 0)

    def test_a_warehouse_that_is_down_is_told_and_no_fault_of_ours(self, keeper, warehouse):
        warehouse.sandbox.stop()
        answer = keeper.post("/api/inventory/sync?wait=true")
        assert answer.status_code == 200
        assert answer.json()["stopped"].startswith("inventory is unavailable")

    def test_otherwise_a_worker_is_asked(self, keeper):
        with Connection(django_settings.BROKER_URL) as broker:
            queue = app.amqp.queues["notifications"](broker.default_channel)
            queue.declare()
            queue.purge()
            answer = keeper.post("/api/inventory/sync")
            message = queue.get(no_ack=True)
        assert (answer.status_code, answer.json()) == (202, {"status": "queued"})
        assert message is not None
        assert message.headers["task"] == "inventory.sync_stock"
        assert message.payload[1] == {"at_once": True}

    def test_without_a_broker_it_asks_to_come_back(self, keeper, settings):
        settings.BROKER_URL = f"redis://127.0.0.1:{free_port()}/0"
        answer = keeper.post("/api/inventory/sync")
        assert error(answer)[:2] == (503, "temporarily_unavailable")
        assert answer.headers["Retry-After"]

    def test_it_is_for_staff_who_may_change_stock(self, customer, staff):
        for somebody in (customer, staff):
            assert somebody.post("/api/inventory/sync").status_code == 403


def test_however_many_questions_are_asked_few_answers_are_kept_and_none_in_valkey(customer):
    make_product(1)
    with redis.Redis.from_url(django_settings.CACHE_URL) as valkey:
        customer.get("/api/inventory")
        before = valkey.dbsize()
        for number in range(4 * MOST_ANSWERS):
            remembered(("made up", number), lambda: [1])
        for number in range(50):
            customer.get(f"/api/inventory?search={number}")
        assert valkey.dbsize() - before < 10  # the limits of requests are counted there, too
    assert len(ANSWERS) <= MOST_ANSWERS


def test_large_answers_push_out_others_sooner():
    answers = Answers()
    for number in range(20):
        answers.keep("a generation", number, [0] * (MOST_ITEMS // 4))
    assert len(answers) == 4
    assert answers.get("a generation", 19) is not None
    assert answers.get("a generation", 0) is None
    assert answers.get("another generation", 19) is None
    answers.keep("a generation", "huge", [0] * (MOST_ITEMS + 1))
    assert len(answers) == 0
