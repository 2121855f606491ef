"""Who may see and do what. A stranger's order does not exist; a clerk sees everything and does nothing."""

import time

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from rest_framework.test import APIClient
from rest_framework.views import APIView

from accounts.models import ApiToken
from api.authentication import (
    CACHE_SECONDS,
    DemoAuthentication,
    SessionAuthentication,
    TokenAuthentication,
    forget_demo_customer,
)
from orders.models import Order, OrderEvent
from tests.factories import make_token
from tests.orders.conftest import an_order, client_of

READS = ["/api/orders/{id}", "/api/orders/{uuid}", "/api/orders/{orderNumber}", "/api/orders/{id}/events"]
COMMANDS = ["process", "complete", "cancel", "refund", "retry"]
# What each may do with Alice's order, as the status of the answer. 409: allowed, but not at this stage.
ALLOWED = {
    "alice": {"process": 200, "complete": 403, "cancel": 200, "refund": 403, "retry": 403},
    "bob": dict.fromkeys(COMMANDS, 404),
    "clerk": dict.fromkeys(COMMANDS, 403),
    "operator": {"process": 200, "complete": 202, "cancel": 200, "refund": 200, "retry": 409},
}
LISTS = ["/api/orders", "/api/orders/pending", "/api/orders/customer/Alice"]


@pytest.fixture
def people(alice, bob, clerk, operator, unlimited):
    return {user.username: client_of(user) for user in (alice, bob, clerk, operator)}


@pytest.fixture
def order(place):
    return place(hold=True)


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(("who", "status"), [("alice", 200), ("bob", 404), ("clerk", 200), ("operator", 200)])
def test_a_strangers_order_does_not_exist(people, order, path, who, status):
    assert people[who].get(path.format(**order)).status_code == status


@pytest.mark.parametrize("action", COMMANDS)
@pytest.mark.parametrize("who", ALLOWED)
def test_who_may_ask_what_of_an_order(people, order, who, action):
    response = people[who].post(f"/api/orders/{order['id']}/{action}")

    assert response.status_code == ALLOWED[who][action]
    if response.status_code >= 400:
        assert OrderEvent.objects.count() == 1  # only that it was placed


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(("who", "seen"), [("alice", 1), ("bob", 0), ("clerk", 1), ("operator", 1)])
def test_a_list_holds_what_one_may_see(people, order, path, who, seen):
    assert len(people[who].get(path).json()["results"]) == seen


@pytest.mark.parametrize("path", [*LISTS, *READS])
def test_nobody_in_particular_is_asked_to_log_in(order, path):
    response = APIClient().get(path.format(**order))

    assert (response.status_code, response.json()["error"]["code"]) == (401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("action", ["", *(f"/1/{action}" for action in COMMANDS)])
def test_nobody_in_particular_changes_anything(order, action):
    assert APIClient().post(f"/api/orders{action}", an_order()).status_code == 401
    assert Order.objects.count() == 1


def test_a_wrong_token_is_refused_and_not_taken_for_nobody(order, settings):
    settings.DEMO = True

    response = client_of(None, Authorization="Token wrong").get("/api/orders")

    assert (response.status_code, response.json()["error"]["code"]) == (401, "authentication_failed")


def test_a_token_lets_in(alice, unlimited):
    headers = {"Authorization": f"Token {make_token(alice)}"}

    assert APIClient().post("/api/orders", an_order(), headers=headers).status_code == 201


@pytest.mark.parametrize("end", ["revoked", "closed"])
def test_a_token_is_let_in_no_longer_than_it_is_remembered(alice, unlimited, monkeypatch, end):
    program = client_of(None, Authorization=f"Token {make_token(alice)}")
    assert program.get("/api/orders").status_code == 200
    ApiToken.objects.update(revoked_at=Now()) if end == "revoked" else User.objects.update(is_active=False)
    now = time.monotonic()

    monkeypatch.setattr(time, "monotonic", lambda: now + CACHE_SECONDS)

    assert program.get("/api/orders").status_code == 401


def test_a_token_is_not_looked_up_for_every_request(alice, unlimited, django_assert_num_queries):
    program = client_of(None, Authorization=f"Token {make_token(alice)}")
    program.get("/api/orders")

    with django_assert_num_queries(1):  # the orders
        program.get("/api/orders")


def test_a_session_needs_its_csrf_token_to_change_anything(alice, unlimited):
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(alice)

    assert browser.get("/api/orders").status_code == 200
    refused = browser.post("/api/orders", an_order())
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "csrf_failed")
    assert not Order.objects.exists()
    browser.cookies["csrftoken"] = "a" * 32
    assert browser.post("/api/orders", an_order(), headers={"X-CSRFToken": "a" * 32}).status_code == 201


def test_a_password_gets_a_token(alice, unlimited):
    alice.set_password("a long password")
    alice.save()
    answer = APIClient().post("/api/token", {"username": "alice", "password": "a long password"})

    headers = {"Authorization": f"Token {answer.json()['token']}"}
    assert APIClient().get("/api/orders", headers=headers).status_code == 200


def test_a_wrong_password_gets_none(alice, unlimited):
    answer = APIClient().post("/api/token", {"username": "alice", "password": "wrong"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_credentials")


# --- Demo mode --------------------------------------------------------------------------------------------


@pytest.fixture
def demo(shop, settings, unlimited, monkeypatch):
    """A client without a login, of a shop in demo mode."""
    settings.DEMO = True
    classes = [TokenAuthentication, SessionAuthentication, DemoAuthentication]
    for view in subclasses(APIView):
        if view.authentication_classes == APIView.authentication_classes:
            monkeypatch.setattr(view, "authentication_classes", classes)
    User.objects.create_user("demo")
    forget_demo_customer()
    yield APIClient()
    forget_demo_customer()


def subclasses(kind):
    return [found for child in kind.__subclasses__() for found in (child, *subclasses(child))]


def test_in_demo_mode_everybody_is_the_demo_customer(demo):
    order = demo.post("/api/orders", an_order(hold=True)).json()

    assert Order.objects.get().owner.username == "demo"
    assert demo.post(f"/api/orders/{order['id']}/process").status_code == 200
    assert demo.post(f"/api/orders/{order['id']}/complete").status_code == 202
    assert demo.get(f"/api/orders/{order['id']}").status_code == 200


def test_the_demo_customer_is_a_customer(demo, place):
    stranger = place()["id"]

    assert demo.get(f"/api/orders/{stranger}").status_code == 404
    assert demo.post(f"/api/orders/{stranger}/complete").status_code == 404


def test_outside_demo_mode_the_demo_customer_needs_a_login(demo, settings):
    settings.DEMO = False

    assert demo.get("/api/orders").status_code == 401


def test_the_demo_customer_is_not_looked_up_for_every_request(demo, django_assert_num_queries):
    demo.get("/api/orders")

    with django_assert_num_queries(1):  # the orders
        demo.get("/api/orders")
