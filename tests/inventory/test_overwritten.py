"""Staff who count stock by hand learn that the sync has overwritten it."""

import re

import pytest
from django.contrib.auth.models import Permission

from inventory import overwritten
from inventory.models import StockChange, StockItem
from scheduling.slots import database_now
from tests.factories import make_product, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def counter(client, settings):
    """Staff who counted five mugs more than the warehouse has."""
    settings.SECURE_SSL_REDIRECT = False
    user = make_user("wilma", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="change_stockitem"))
    client.force_login(user)
    return user


@pytest.fixture
def counted(counter) -> StockChange:
    product = make_product("Mug", units=100)
    return StockItem.objects.adjust(
        product_id=product.pk, by=5, reason="recount", made_by="wilma", source=StockChange.Source.STAFF
    )


def sync(received: int, counted: StockChange) -> None:
    StockItem.objects.take_over(
        received={counted.product_id: received}, reason="warehouse count", now=database_now()
    )


def test_who_counted_sees_at_the_desk_that_the_sync_undid_it(client, counted):
    assert "has overwritten your count" not in client.get("/admin/").content.decode()
    sync(100, counted)
    page = client.get("/admin/").content.decode()
    assert "has overwritten your count" in page
    assert "you changed it by +5 (recount)" in page
    assert "the warehouse changed it by -5" in page
    assert re.search(r"\+5 \(recount\) at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", page)


def test_a_sync_that_agrees_and_counts_of_others_are_not_shown(counted):
    sync(105, counted)
    assert overwritten.of_user("wilma", now=database_now()) == []
    sync(100, counted)
    assert overwritten.of_user("fred", now=database_now()) == []
    assert len(overwritten.of_user("wilma", now=database_now())) == 1
    assert overwritten.of_user("wilma", now=database_now() + overwritten.SHOWN_FOR) == []


def test_the_form_shows_the_latest_changes(client, counted):
    sync(100, counted)
    page = client.get(f"/admin/inventory/product/{counted.product_id}/adjust/").content.decode()
    assert page.index("-5") < page.index("+5")
    assert "Inventory sync" in page
