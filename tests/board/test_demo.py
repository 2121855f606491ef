"""What a visitor of a demo can do to the shop, and no other client can."""

import pytest

from board.demo import MIXED, NOWHERE, TROUBLES
from launcher.engines import free_port
from orders.models import Journey, Order
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS, TROUBLE = "/api/board/orders", "/api/board/trouble"


@pytest.fixture
def newcomer(api, demo):
    return api(demo)


@pytest.fixture
def sandbox_of_demo(settings, sandbox):
    settings.SANDBOX_URL = sandbox.url
    return sandbox


def test_one_order_can_be_placed(newcomer, demo, product):
    answer = newcomer.post(ORDERS, {})
    order = Order.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {"placed": 1, "firstId": order.pk, "lastId": order.pk}
    assert (order.owner_id, order.payment_token) == (demo.pk, "tok_demo")


def test_many_orders_can_be_placed(newcomer, product):
    answer = newcomer.post(ORDERS, {"count": 250, "kind": "mixed"})
    assert answer.json()["placed"] == Order.objects.count() == 250


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("declined", {"payment_token": "tok_declined"}),
        ("unshippable", {"country": NOWHERE}),
        ("out_of_stock", {"lines__quantity": 1000}),
    ],
)
def test_an_order_can_be_bad_on_purpose(newcomer, product, kind, facts):
    newcomer.post(ORDERS, {"kind": kind})
    assert Order.objects.filter(**facts).exists()


def test_an_order_can_be_held(newcomer, product):
    newcomer.post(ORDERS, {"kind": "held"})
    assert Journey.objects.get().due_at is None


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"count": 0}, "too_small", "count"),
        ({"count": 1001}, "too_large", "count"),
        ({"count": "many"}, "wrong_type", "count"),
        ({"kind": "free"}, "invalid", "kind"),
        ({"price": 1}, "unknown_field", "price"),
    ],
)
def test_it_refuses_nonsense(newcomer, product, body, code, field):
    answer = newcomer.post(ORDERS, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("field")) == (400, code, field)
    assert not Order.objects.exists()


def test_a_shop_with_nothing_to_sell_says_so(newcomer):
    answer = newcomer.post(ORDERS, {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "nothing_to_sell")


def test_a_mix_is_mostly_good():
    assert len(MIXED) == 100
    assert MIXED.count("good") > 90


@pytest.mark.parametrize("name", TROUBLES)
def test_the_payment_provider_can_be_broken_and_says_how(newcomer, sandbox_of_demo, name):
    assert newcomer.put(TROUBLE, {"payments": name}).json() == {"payments": name}
    assert newcomer.get(TROUBLE).json() == {"payments": name}
    newcomer.put(TROUBLE, {"payments": "none"})


def test_it_refuses_a_trouble_that_it_does_not_know(newcomer, sandbox_of_demo):
    answer = newcomer.put(TROUBLE, {"payments": "fire"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "payments")


def test_a_sandbox_that_is_away_is_not_the_callers_fault(newcomer, settings):
    settings.SANDBOX_URL = f"http://127.0.0.1:{free_port()}"
    for answer in (newcomer.get(TROUBLE), newcomer.put(TROUBLE, {"payments": "down"})):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "sandbox_unreachable")


def test_in_a_real_shop_nobody_may_do_any_of_it(api, db):
    admin = make_user(is_staff=True)
    admin.is_superuser = True
    admin.save()
    assert api(admin).post(ORDERS, {}).status_code == 403
    assert api(admin).get(TROUBLE).status_code == 403
    assert api(admin).put(TROUBLE, {"payments": "down"}).status_code == 403
