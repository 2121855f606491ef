"""Every write of a product changes its version, by which an order priced from a stale cache is detected."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connection
from django.template import Context, Template
from rest_framework.test import APIClient

from inventory.catalogue import cached_products, find_products
from inventory.loader import load_catalogue
from inventory.models import Product
from orders.models import OrderLine
from tests.factories import make_order, make_product, make_user

pytestmark = pytest.mark.django_db


def save(product: Product) -> None:
    product.price = "31.00"
    product.save()


def save_one_field(product: Product) -> None:
    product.price = "31.00"
    product.save(update_fields=["price"])


def update(product: Product) -> None:
    Product.objects.filter(pk=product.pk).update(price="31.00")


def update_through_the_base_manager(product: Product) -> None:
    Product._base_manager.filter(pk=product.pk).update(price="31.00")


def bulk_update(product: Product) -> None:
    product.price = "31.00"
    Product.objects.bulk_update([product], ["price"])


def bulk_import(product: Product) -> None:
    product.price = "31.00"
    unique, fields = ["sku"], ["price"]
    Product.objects.bulk_create([product], update_conflicts=True, unique_fields=unique, update_fields=fields)


def save_a_new_instance(product: Product) -> None:
    Product(pk=product.pk, sku=product.sku, name=product.name, price="31.00").save()


def update_or_create(product: Product) -> None:
    Product.objects.update_or_create(sku=product.sku, defaults={"price": "31.00"})


def patch_over_the_api(product: Product) -> None:
    client, user = APIClient(), make_user("root")
    user.is_superuser = user.is_staff = True
    client.force_authenticate(user)
    assert client.patch(f"/api/inventory/{product.pk}", {"price": "31.00"}, format="json").status_code == 200


WRITES = [
    save,
    save_one_field,
    update,
    update_through_the_base_manager,
    bulk_update,
    bulk_import,
    save_a_new_instance,
    update_or_create,
    patch_over_the_api,
]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_changes_the_version_and_an_order_takes_the_new_price(write: Callable[[Product], None]):
    product = make_product(price="29.00")
    (cached,) = find_products(ids=[product.pk])
    write(product)
    (current,) = cached_products(ids=[product.pk])
    assert current.version == cached.version, "the cache of a process does not see the write"
    order = make_order((product, 1))
    (stored,) = find_products(ids=[product.pk])
    assert stored.version != cached.version
    assert str(OrderLine.objects.get(order_id=order.order_id).unit_price) == "31.00"
    assert str(order.goods_amount) == "31.00"


def test_a_template_cannot_write_products():
    before = make_product().version
    assert Template("{{ products.update }}").render(Context({"products": Product.objects.all()})) == ""
    assert Product.objects.get().version == before


def test_two_writes_never_lead_back_to_an_earlier_version():
    product = make_product()
    versions = {product.version}
    for _ in range(3):
        product.save()
        versions.add(Product.objects.get(pk=product.pk).version)
    assert len(versions) == 4


def test_a_statement_that_leaves_the_version_cannot_store_an_order_at_the_old_price():
    """Processes of the last release, and people at a console, know no version."""
    product = make_product(price="29.00")
    find_products(ids=[product.pk])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_product SET price = 31 WHERE id = %s", [product.pk])
    assert make_order((product, 1)).goods_amount == Decimal(31)


def test_the_loader_gives_versions_and_leaves_those_of_known_products():
    load_catalogue(currency="USD")
    before = dict(Product.objects.values_list("pk", "version"))
    assert all(before.values())
    load_catalogue(currency="USD")
    assert dict(Product.objects.values_list("pk", "version")) == before
