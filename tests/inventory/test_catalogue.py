"""What can be ordered."""

from decimal import Decimal

import pytest

from inventory.catalogue import ProductInfo, find_products
from tests.inventory.goods import make_product

pytestmark = pytest.mark.django_db


def test_it_finds_products_by_id_sku_and_name_in_one_statement(django_assert_num_queries):
    for number in range(1, 6):
        make_product(number)
    with django_assert_num_queries(1):
        found = find_products(ids=[1], skus=["SKU-2", "SKU-1"], names=["Thing 3"])
    assert sorted(product.id for product in found) == [1, 2, 3]


def test_it_tells_what_an_order_line_needs():
    make_product(1, price="29.99", weight_grams=120, currency="EUR", active=False)
    assert find_products(ids=[1]) == [
        ProductInfo(1, "SKU-1", "Thing 1", Decimal("29.99"), "EUR", weight_grams=120, active=False)
    ]


def test_it_does_not_stumble_over_what_no_product_can_be_called():
    assert find_products(ids=[0, -1, 2**63, 10**40], skus=["a\0b"], names=["", "\0"]) == []
