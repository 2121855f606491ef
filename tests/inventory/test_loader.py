"""The catalogue: what is in the file, and how it comes into the database."""

import csv
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from inventory.catalogue import find_products
from inventory.loader import CATALOGUE, load_catalogue
from inventory.models import Product, StockItem
from tests.inventory.goods import at_once, units

HEADER = "id,sku,name,category,description,price,weight_grams,stock\n"


@pytest.fixture
def catalogue(tmp_path) -> Path:
    path = tmp_path / "catalogue.csv"
    path.write_text(
        HEADER + "1,KB-1,Keyboard,Accessories,Clicks.,29.99,540,50\n9,PO-1,Poster,Home,Old.,240.00,180,0\n"
    )
    return path


def rows() -> list[dict[str, str]]:
    with CATALOGUE.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.django_db
class TestLoading:
    def test_it_adds_products_with_their_stock(self, catalogue):
        assert load_catalogue(catalogue, currency="EUR") == 2
        [keyboard] = find_products(ids=[1])
        assert (keyboard.sku, keyboard.price, keyboard.currency) == ("KB-1", Decimal("29.99"), "EUR")
        assert keyboard.weight_grams == 540
        assert units(1) == (50, 0, 0)
        assert units(9) == (0, 0, 0)

    def test_loading_again_overwrites_nothing_that_people_changed(self, catalogue):
        load_catalogue(catalogue, currency="EUR")
        Product.objects.filter(id=1).update(price=Decimal("35.00"), active=False)
        StockItem.objects.filter(product_id=1).update(on_hand=3, sold=47)
        assert load_catalogue(catalogue, currency="EUR") == 0
        product = Product.objects.get(id=1)
        assert (product.price, product.active) == (Decimal("35.00"), False)
        assert units(1) == (3, 0, 47)

    def test_loading_again_adds_what_is_new_or_missing(self, catalogue):
        load_catalogue(catalogue, currency="EUR")
        StockItem.objects.filter(product_id=1).delete()
        with catalogue.open("a") as file:
            file.write("10,MU-1,Mug,Kitchen,Holds tea.,9.00,300,7\n")
        assert load_catalogue(catalogue, currency="EUR") == 1
        assert units(1) == (50, 0, 0)
        assert units(10) == (7, 0, 0)

    def test_a_product_made_afterwards_gets_an_id_of_its_own(self, catalogue):
        load_catalogue(catalogue, currency="EUR")
        assert Product.objects.create(sku="NEW-1", name="New", price=Decimal("1.00")).id > 9


@pytest.mark.django_db(transaction=True)
def test_two_nodes_may_load_it_at_once(catalogue):
    added = at_once([partial(load_catalogue, catalogue, currency="EUR")] * 4)
    assert max(added) == 2
    assert Product.objects.count() == StockItem.objects.count() == 2


class TestTheDemoCatalogue:
    def test_it_has_some_hundred_products_that_the_models_accept(self):
        products = rows()
        assert 110 <= len(products) <= 140
        for column in ("id", "sku", "name"):
            assert len({product[column] for product in products}) == len(products)

    @pytest.mark.parametrize(("product_id", "price"), [("1", "29.99"), ("2", "149.99")])
    def test_the_well_known_ids_have_their_price_and_plenty_of_stock(self, product_id, price):
        [product] = [product for product in rows() if product["id"] == product_id]
        assert product["price"] == price
        assert int(product["stock"]) >= 5000

    @pytest.mark.parametrize(
        ("name", "price"),
        [("Laptop", "999.99"), ("Mouse", "29.99"), ("Book", "15.99"), ("Phone", "699.99")]
        + [(f"Product {number}", "10.99") for number in range(1, 11)],
    )
    def test_the_well_known_names_have_their_price_and_plenty_of_stock(self, name, price):
        [product] = [product for product in rows() if product["name"] == name]
        assert product["price"] == price
        assert int(product["stock"]) >= 5000

    def test_it_has_what_is_needed_to_see_an_order_refused(self):
        stocks = [int(product["stock"]) for product in rows()]
        assert stocks.count(0) == 1
        assert sum(0 < stock <= 5 for stock in stocks) >= 3
        assert max(int(product["weight_grams"]) for product in rows()) > 50_000

    def test_it_has_a_product_for_health_checks(self):
        [canary] = [product for product in rows() if product["sku"] == "CANARY-1"]
        assert int(canary["stock"]) >= 1_000_000
