"""Products and their units on the operators' desk."""

from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from inventory.models import Product, StockChange, StockItem
from tests.inventory.goods import make_product, units

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/inventory/product/"
CHANGES = "/admin/inventory/stockchange/"


@pytest.fixture
def staff(fresh_cache) -> User:
    user = User.objects.create_user("kim", is_staff=True)
    codes = (
        "view_product",
        "add_product",
        "change_product",
        "change_stockitem",
        "view_stockitem",
        "view_stockchange",
    )
    user.user_permissions.set(
        Permission.objects.filter(codename__in=codes, content_type__app_label="inventory")
    )
    return user


@pytest.fixture
def desk(staff) -> Client:
    client = Client()
    client.force_login(staff)
    return client


def product_form(**changes: object) -> dict[str, object]:
    """What the change form of product 1 sends, with its stock inline."""
    return {
        "sku": "SKU-1",
        "name": "Thing 1",
        "price": "10.00",
        "currency": "USD",
        "weight_grams": "100",
        "active": "on",
        "stock-TOTAL_FORMS": "1",
        "stock-INITIAL_FORMS": "1",
        "stock-0-product": "1",
        "stock-0-reorder_level": "10",
    } | changes


def test_the_list_shows_the_units_of_each_product(desk):
    make_product(1, on_hand=4210, reserved=210, sold=77)
    make_product(2, on_hand=None)
    page = desk.get(PRODUCTS).content.decode()
    assert "4000" in page
    assert "210" in page
    assert "77" in page


@pytest.mark.parametrize(("choice", "expected"), [("low", {2, 3}), ("out", {3, 4}), (None, {1, 2, 3, 4})])
def test_products_that_run_low_can_be_found(desk, choice, expected):
    make_product(1, on_hand=10)
    make_product(2, on_hand=10, reserved=1)
    make_product(3, on_hand=3, reserved=3)
    make_product(4, on_hand=None)
    page = desk.get(PRODUCTS, {"stock": choice} if choice else {})
    assert {product.pk for product in page.context["cl"].queryset} == expected


@pytest.mark.parametrize("column", range(1, 10))
def test_the_list_can_be_sorted_by_each_column(desk, column):
    make_product(1)
    assert desk.get(PRODUCTS, {"o": f"-{column}", "q": "Thing"}).status_code == 200


def test_a_product_cannot_be_deleted(desk, admin_client):
    make_product(1)
    for client in (desk, admin_client):
        assert client.post(f"{PRODUCTS}1/delete/", {"post": "yes"}).status_code == 403
    assert Product.objects.exists()


def test_a_new_product_gets_a_stock_row_and_is_listed_at_once(desk, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = desk.post(
            f"{PRODUCTS}add/", product_form(**{"stock-TOTAL_FORMS": 0, "stock-INITIAL_FORMS": 0})
        )
    assert answer.status_code == 302
    assert units(Product.objects.get().pk) == (0, 0, 0)


def test_editing_a_product_leaves_its_units_to_the_pipeline(desk):
    make_product(1, on_hand=10)
    assert desk.get(f"{PRODUCTS}1/change/").status_code == 200
    StockItem.objects.update(reserved=5)  # an order came in while the form was open
    sent = product_form(price="12.50", **{"stock-0-reorder_level": "3", "stock-0-on_hand": "999"})
    assert desk.post(f"{PRODUCTS}1/change/", sent).status_code == 302
    assert Product.objects.get().price == Decimal("12.50")
    assert StockItem.objects.get().reorder_level == 3
    assert units(1) == (10, 5, 0)


class TestAdjusting:
    URL = f"{PRODUCTS}1/adjust/"

    def test_it_corrects_the_units_and_leaves_a_trace(self, desk):
        make_product(1, on_hand=10, reserved=4)
        assert "10 on hand" in desk.get(self.URL).content.decode()
        answer = desk.post(self.URL, {"by": "-6", "reason": "water damage"})
        assert answer.status_code == 302
        assert units(1) == (4, 4, 0)
        change = StockChange.objects.get()
        assert (change.made_by, change.reason, change.source) == ("kim", "water damage", "staff")
        assert "-6: water damage" in LogEntry.objects.get().change_message

    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            ({"by": "-7", "reason": "lost"}, "Only 6 units are available"),
            ({"by": "0", "reason": "x"}, "Enter a number other than zero"),
            ({"by": "1", "reason": " "}, "This field is required"),
            ({"by": "1.5", "reason": "x"}, "Enter a whole number"),
            ({"by": "1", "reason": "a\0b"}, "Null characters are not allowed"),
        ],
    )
    def test_it_says_what_is_wrong(self, desk, sent, said):
        make_product(1, on_hand=10, reserved=4)
        assert said in desk.post(self.URL, sent).content.decode()
        assert units(1) == (10, 4, 0)

    def test_it_needs_the_permission_to_change_stock(self, desk, staff):
        make_product(1, on_hand=10)
        staff.user_permissions.remove(Permission.objects.get(codename="change_stockitem"))
        assert desk.post(self.URL, {"by": "1", "reason": "x"}).status_code == 403
        assert units(1) == (10, 0, 0)

    def test_there_must_be_such_a_product(self, desk):
        assert desk.get(f"{PRODUCTS}9/adjust/").status_code == 404


def test_corrections_can_be_read_and_not_changed(desk, admin_client):
    make_product(1)
    change = StockChange.objects.create(product_id=1, source="sync", wanted=-5, applied=-3, on_hand_after=0)
    assert "-5" in desk.get(CHANGES, {"q": "SKU-1"}).content.decode()
    for client in (desk, admin_client):
        assert client.get(f"{CHANGES}{change.pk}/change/").status_code == 200
        assert client.post(f"{CHANGES}{change.pk}/change/", {"wanted": 1}).status_code == 403
        assert client.post(f"{CHANGES}{change.pk}/delete/", {"post": "yes"}).status_code == 403
        assert client.get(f"{CHANGES}add/").status_code == 403
