"""Payment transactions on the operators' desk."""

import pytest
from django.contrib.auth.models import Permission

from payments import admin
from payments.models import Transaction
from tests.factories import make_order, make_product, make_transaction, make_user

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/payments/transactions/"


@pytest.fixture(autouse=True)
def accountant(client):
    user = make_user(is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_transaction"))
    client.force_login(user)
    return user


def make_transactions(*kinds: str, state: str = Transaction.State.SUCCEEDED):
    placed = make_order((make_product(), 1))
    for kind in kinds:
        make_transaction(placed, kind, state=state)
    return placed


def shown(client, query: str = "") -> list[tuple[int, str]]:
    answer = client.get(f"{PAGE}{query}")
    assert answer.status_code == 200
    return [(transaction.order_id, transaction.kind) for transaction in answer.context["transactions"]]


def test_transactions_are_listed_by_order_the_latest_first(client):
    first = make_transactions("authorize", "capture")
    second = make_transactions("authorize")
    assert shown(client) == [
        (second.order_id, "authorize"),
        (first.order_id, "authorize"),
        (first.order_id, "capture"),
    ]


def test_they_are_narrowed_by_kind_state_and_order(client):
    good = make_transactions("authorize", "capture")
    unknown = make_transactions("authorize", state=Transaction.State.UNKNOWN)
    assert shown(client, "?kind=capture") == [(good.order_id, "capture")]
    assert shown(client, "?state=unknown") == [(unknown.order_id, "authorize")]
    for name in (good.number, good.order_id, good.uuid):
        assert {order_id for order_id, _ in shown(client, f"?q={name}")} == {good.order_id}
    assert shown(client, "?q=nobody") == []
    assert len(shown(client, "?kind=nonsense&state=nonsense&before=nonsense")) == 3


def test_pages_end_between_orders_and_repeat_nothing(client, monkeypatch):
    monkeypatch.setattr(admin, "PAGE", 3)
    for _ in range(4):
        make_transactions("authorize", "capture")
    everything, query = [], ""
    while True:
        everything += shown(client, query)
        older = client.get(f"{PAGE}{query}").context["older"]
        if not older:
            break
        query = f"?{older}"
    assert len(everything) == len(set(everything)) == 8


def test_it_is_for_those_who_may_see_payments(client):
    client.force_login(make_user(is_staff=True))
    assert client.get(PAGE).status_code == 403
    client.force_login(make_user())
    assert client.get(PAGE).status_code == 302
