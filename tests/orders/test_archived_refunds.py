"""An archived order is restored for its refund, as it was, and archived again later."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse

import faults
from inventory.models import StockItem
from orders import commands
from orders.maintenance import archive, audit
from orders.models import ArchivedOrder, ArchivedUnits, Credit, Journey, Order, OrderEvent
from payments.balance import balance
from payments.ledger import entries_of
from scheduling.slots import database_now
from tests.factories import make_order, make_product, make_shipping, make_token, make_user
from tests.fixtures.pipeline import work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mug(providers: Any) -> Any:
    make_shipping()
    return make_product("Mug", price="10.00", units=9)


@pytest.fixture
def archived(mug: Any) -> int:
    """Three mugs at 10.00 and 5.00 for shipping, in the archive."""
    order_id = make_order((mug, 3)).order_id
    Order.objects.update(external_reference="shop-1", metadata={"channel": "web"})
    work_off()
    commands.complete_orders(order_ids=[order_id])
    archive_all()
    return order_id


@pytest.fixture(autouse=True)
def books_are_right(mug: Any, unlimited: None) -> Any:
    yield
    assert [str(v) for v in audit.run().violations if "no order" not in v.details] == []


def archive_all(*, after: timedelta = timedelta(seconds=1)) -> int:
    return sum(moved.months.total() for moved in archive.move(before=database_now() + after))


class Api:
    def __init__(self) -> None:
        user = make_user("olga", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=["operate_order", "view_order"]))
        self.client = Client(headers={"Authorization": f"Bearer {make_token(user)}"})

    def post(self, order_id: int, what: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
        address = f"/api/orders/{order_id}/{what}"
        return self.client.post(address, body or {}, content_type="application/json", headers=headers)


@pytest.fixture
def api() -> Api:
    return Api()


def left(order_id: int) -> Any:
    return balance(entries_of([order_id])[order_id]).left


def test_a_refund_of_units_restores_the_order_as_it_was_and_it_is_archived_again(api, archived, mug):
    before = ArchivedOrder.objects.get().document
    body = {"items": [{"productId": mug.pk, "quantity": 2}], "restock": True}
    answer = api.post(archived, "refunds", body)
    assert (answer.status_code, answer.json()["amount"], answer.json()["left"]) == (202, 20, 15)
    assert not ArchivedOrder.objects.exists()
    work_off()
    order = Order.objects.select_related("journey").get()
    assert (order.external_reference, order.metadata) == ("shop-1", {"channel": "web"})
    assert (order.journey.status, left(archived)) == ("completed", 15)
    kept = [e["transaction_id"] for e in before["events"]]
    assert list(OrderEvent.objects.values_list("transaction_id", flat=True))[: len(kept)] == kept
    assert StockItem.objects.get().sold == 1
    assert audit.run().is_clean
    assert archive_all(after=timedelta(days=-1)) == 0, "its refund may still fail"
    assert archive_all() == 1
    after = ArchivedOrder.objects.get().document
    assert after["order"] == before["order"]
    assert after["events"][: len(kept)] == before["events"]
    assert ArchivedUnits.objects.get().quantity == 1


def test_all_that_is_left_is_refunded_and_the_goods_go_back(api, archived):
    assert api.post(archived, "refunds", {"amount": 5}).status_code == 202
    work_off()
    archive_all()
    answer = api.post(archived, "refund", {"reason": "Returned"})
    assert (answer.status_code, answer.json()["status"]) == (202, "Cancelling")
    work_off()
    assert (Journey.objects.get().status, left(archived)) == ("cancelled", 0)
    assert StockItem.objects.get().sold == 0


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("refunds", {"amount": 5, "dryRun": True}, 200),
        ("refunds", {"amount": 36}, 409),
        ("refunds", {"amount": 5, "typo": 1}, 400),
        ("cancel", {}, 410),
    ],
)
def test_what_refunds_nothing_leaves_it_in_the_archive(api, archived, what, body, status):
    assert api.post(archived, what, body).status_code == status
    assert ArchivedOrder.objects.count() == 1
    assert not Order.objects.exists()


def test_an_order_that_ended_unpaid_stays_in_the_archive(api, mug):
    order_id = make_order((mug, 1), token="tok_declined").order_id
    work_off()
    archive_all()
    assert api.post(order_id, "refund").status_code == 409
    assert ArchivedOrder.objects.count() == 1


def test_a_repeat_with_the_key_is_one_refund(api, archived):
    first, second = (api.post(archived, "refunds", {"amount": 5}, **{"Idempotency-Key": "k"}) for _ in "12")
    assert first.content == second.content
    assert Credit.objects.count() == 1


def test_two_at_once_restore_it_once_and_refund_twice(api, archived):
    with ThreadPoolExecutor(2) as both:

        def refund(_: int) -> int:
            try:
                return api.post(archived, "refunds", {"amount": 10}).status_code
            finally:
                connection.close()

        assert list(both.map(refund, range(2))) == [202, 202]
    work_off()
    assert (Order.objects.count(), Credit.objects.count(), left(archived)) == (1, 2, 15)


def test_death_before_the_commit_leaves_it_in_the_archive(api, archived, monkeypatch):
    def die(place: str) -> None:
        if place == "restore.before_commit":
            raise SystemExit

    monkeypatch.setattr(faults, "point", die)
    with pytest.raises(SystemExit):
        api.post(archived, "refunds", {"amount": 5})
    assert (ArchivedOrder.objects.count(), Order.objects.count(), Credit.objects.count()) == (1, 0, 0)


def test_its_reference_stays_with_the_order_that_has_it_since(api, archived, mug):
    owner = User.objects.get(pk=ArchivedOrder.objects.get().document["order"]["owner_id"])
    newer = make_order((mug, 1), owner=owner).order_id
    Order.objects.filter(pk=newer).update(external_reference="shop-1")
    assert api.post(archived, "refunds", {"amount": 5}).status_code == 202
    work_off()
    assert Order.objects.get(pk=newer).external_reference == "shop-1"
    restored = Order.objects.get(pk=archived)
    assert restored.external_reference == ""
    assert restored.metadata == {"channel": "web", "formerReference": "shop-1"}


def test_one_of_a_release_without_numbers_of_transactions_is_restored(api, archived):
    (kept,) = ArchivedOrder.objects.all()
    for row in kept.document["transactions"]:
        for name in ("number", "parent", "key", "gateway", "credit", "attempt", "action", "provider_parent"):
            del row[name]
    del kept.document["credits"]
    kept.save()
    assert api.post(archived, "refunds", {"amount": 5}).status_code == 202
    work_off()
    assert left(archived) == 30


def test_the_desk_offers_both_refunds_and_restores_for_what_is_confirmed(client, archived):
    staff = make_user("desk", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_order", "refund_order"]))
    client.force_login(staff)
    page = client.get(reverse("admin:orders_order_change", args=[archived]), follow=True).content.decode()
    part = reverse("admin:orders_order_refund", args=[archived])
    whole = reverse("admin:orders_order_operate", args=["refund"])
    assert part in page
    assert f"{whole}?order={archived}" in page
    assert "35.00" in client.get(part).content.decode()
    assert "Refunds 35.00" in client.get(whole, {"order": archived}).content.decode()
    assert ArchivedOrder.objects.count() == 1
    token = str(client.get(part).context["form"]["token"].value())
    form = {"token": token, "step": "refund", "amount": "5", "expected": "5", "reason": "Late"}
    told = client.post(part, form, follow=True).content.decode()
    assert "is requested" in told
    assert Credit.objects.get().amount == 5
    work_off()
    archive_all()
    assert (
        "cancelling"
        in client.post(whole, {"order": archived, "reason": "Back"}, follow=True).content.decode()
    )
    assert not ArchivedOrder.objects.exists()
    work_off()
