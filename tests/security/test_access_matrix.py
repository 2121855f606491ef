"""Who gets what at every address with every method. A new address without an entry here fails."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.http import HttpResponseBase
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from accounts import tokens
from inventory.models import Product, StockItem
from notifications.models import Delivery, Notification, Subscription
from orders.http import links
from orders.models import Order
from shipping.models import Zone
from tests.factories import make_order, make_user
from tests.fixtures.described import description
from tests.security.conftest import make_operator

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PEOPLE = ("nobody", "owner", "other", "clerk", "operator")

# Status of the answer to: no login, the order's owner, another customer, staff with view permissions, an operator.
# 400 and 409 mean access: the empty request itself is rejected.
MATRIX = {
    # Pages, and what says how the system is
    "GET /": "302 200 200 200 200",
    "GET /board/orders/<str:reference>": "302 200 404 200 200",
    "GET /track/theme.css": "200 200 200 200 200",
    "GET /track/<uuid:uuid>": "302 302 404 302 302",
    "GET /track/<str:token>": "200 200 200 200 200",  # the link is the proof
    "GET /track/<str:token>/cancel": "200 200 200 200 200",
    "POST /track/<str:token>/cancel": "303 303 303 303 303",
    "GET /favicon.ico": "302 302 302 302 302",
    "POST /favicon.ico": "302 302 302 302 302",
    "PUT /favicon.ico": "302 302 302 302 302",
    "PATCH /favicon.ico": "302 302 302 302 302",
    "DELETE /favicon.ico": "302 302 302 302 302",
    "GET /sales": "302 403 403 200 200",
    "GET /swagger": "200 200 200 200 200",
    "GET /redoc": "200 200 200 200 200",
    "GET /redoc.js": "200 200 200 200 200",
    "GET /errors/<slug:code>": "200 200 200 200 200",
    "GET /health": "503 503 503 503 503",  # there are no workers here
    "GET /health/live": "200 200 200 200 200",
    "GET /health/ready": "200 200 200 200 200",
    "GET /metrics": "403 403 403 403 403",  # neither from this machine nor with the token
    "GET /api/system/status": "401 403 403 200 200",
    "GET /api/system/nodes": "401 403 403 200 200",
    "GET /api/system/metrics": "401 403 403 200 200",
    # Getting in
    "GET /api": "200 200 200 200 200",
    "GET /api/schema": "200 200 200 200 200",
    "GET /api/asyncapi.yaml": "200 200 200 200 200",
    "POST /api/token": "400 400 400 400 400",
    "GET /api/tokens": "401 200 200 200 200",
    "DELETE /api/tokens/<int:token_id>": "401 204 404 404 404",
    "GET /api/login/login/": "200 200 200 200 200",
    "POST /api/login/login/": "200 200 200 200 200",
    "PUT /api/login/login/": "200 200 200 200 200",
    "POST /api/login/logout/": "200 200 200 200 200",
    "GET /password/reset/": "200 200 200 200 200",
    "POST /password/reset/": "200 200 200 200 200",
    "PUT /password/reset/": "200 200 200 200 200",
    "GET /password/reset/sent/": "200 200 200 200 200",
    "GET /password/reset/done/": "200 200 200 200 200",
    # The link is the proof; without it any method gets a page that says so.
    **{f"{method} /password/reset/<slug:uidb64>/<slug:token>/": "200 200 200 200 200" for method in METHODS},
    "POST /api/live/tickets": "401 201 201 201 201",
    "POST /api/live/tickets/renew": "400 400 400 400 400",  # the ticket in the body is the proof
    "POST /api/orders/<str:reference>/ticket": "401 201 404 403 201",
    "DELETE /api/orders/<str:reference>/ticket": "401 204 404 403 204",
    "POST /orderHub/negotiate": "200 200 200 200 200",  # reveals nothing; its socket grants no access
    # Orders
    "GET /api/orders": "401 200 200 200 200",
    "POST /api/orders": "401 400 400 400 400",
    "POST /api/orders/quote": "401 400 400 400 400",
    "POST /api/orders/bulk": "401 415 415 415 415",
    "GET /api/orders/export": "401 200 200 200 200",
    "GET /api/orders/pending": "401 200 200 200 200",
    "GET /api/orders/customer/<path:name>": "401 200 200 200 200",
    "GET /api/orders/<str:reference>": "401 200 404 200 200",
    "GET /api/orders/<str:reference>/events": "401 200 404 200 200",
    "GET /api/orders/<str:reference>/explanation": "401 403 404 200 200",
    "GET /api/orders/<str:reference>/tasks": "401 403 403 200 200",
    "GET /api/orders/stuck": "401 403 403 200 200",
    "POST /api/orders/stuck/retry": "401 403 403 403 400",
    "POST /api/orders/stuck/cancel": "401 403 403 403 400",
    "POST /api/orders/<str:reference>/process": "401 200 404 403 200",
    "POST /api/orders/<str:reference>/complete": "401 403 404 403 202",
    "POST /api/orders/<str:reference>/cancel": "401 200 404 403 200",
    "POST /api/orders/<str:reference>/paid": "401 403 404 403 400",
    "POST /api/orders/<str:reference>/refund": "401 403 404 403 200",
    "GET /api/orders/<str:reference>/refunds": "401 200 404 200 200",
    "POST /api/orders/<str:reference>/refunds": "401 403 404 403 400",
    "GET /api/orders/<str:reference>/captures": "401 200 404 200 200",
    "POST /api/orders/<str:reference>/captures": "401 403 404 403 409",
    "POST /api/orders/<str:reference>/retry": "401 403 404 403 409",
    "POST /api/payments/webhook": "403 403 403 403 403",  # only with the secret
    "POST /api/payments/webhook/<slug:name>": "403 403 403 403 403",
    "GET /api/payments/at-risk": "401 403 403 200 200",
    "GET /api/payments/transactions": "401 403 403 200 200",
    # The shop's figures
    "GET /api/analytics": "401 403 403 200 200",
    "GET /api/analytics.csv": "401 403 403 200 200",
    "GET /api/board/cards": "401 200 200 200 200",
    "GET /api/board/search": "401 200 200 200 200",
    "GET /api/board/series": "401 403 403 200 200",
    "POST /api/board/orders": "401 403 403 403 403",  # only in a demo
    "GET /api/board/trouble": "401 403 403 403 403",
    "PUT /api/board/trouble": "401 403 403 403 403",
    "GET /inbox": "302 404 404 404 404",  # only in a demo
    "GET /inbox/<slug:mail_id>": "404 404 404 404 404",
    # Inventory and delivery
    "POST /api/inventory": "401 403 403 403 400",
    "PATCH /api/inventory/<str:reference>": "401 403 403 403 200",
    "GET /api/shipping/zones": "401 403 403 200 200",
    "POST /api/shipping/zones": "401 403 403 403 400",
    "PUT /api/shipping/zones/<int:zone_id>": "401 403 403 403 400",
    "DELETE /api/shipping/zones/<int:zone_id>": "401 403 403 403 204",
    "GET /api/inventory": "401 200 200 200 200",
    "POST /api/inventory/sync": "401 403 403 403 202",
    "GET /api/inventory/<str:reference>": "401 200 200 200 200",
    "POST /api/inventory/<str:reference>/adjust": "401 403 403 403 400",
    "GET /api/inventory/<str:reference>/changes": "401 403 403 200 200",
    # What people and systems are told
    "GET /api/notifications": "401 200 200 200 200",
    "POST /api/notifications/<int:notification_id>/read": "401 200 404 403 200",
    "PATCH /api/notifications/<int:notification_id>/read": "401 200 404 403 200",
    "POST /api/notifications/<int:notification_id>/send-again": "401 403 403 403 409",
    "PATCH /api/webhooks/<int:subscription_id>": "401 403 403 403 200",
    "GET /api/webhooks": "401 403 403 403 200",
    "POST /api/webhooks": "401 403 403 403 400",
    "GET /api/webhooks/<int:subscription_id>": "401 403 403 403 200",
    "POST /api/webhooks/<int:subscription_id>/test": "401 403 403 403 202",
    "DELETE /api/webhooks/<int:subscription_id>": "401 403 403 403 204",
    "GET /api/webhooks/<int:subscription_id>/deliveries": "401 403 403 403 200",
    "POST /api/webhooks/deliveries/<int:delivery_id>/redeliver": "401 403 403 403 200",
}
# It is one consistent picture, which no transaction around it can be part of; it has a test of its own.
IN_ONE_SNAPSHOT = {"GET /api/board"}
REFUSED = {"401", "403", "404", "405"}
PUBLIC = [entry for entry, statuses in MATRIX.items() if len(set(statuses.split())) == 1]
# What else a request needs to get as far as the question who sent it.
QUERIES = {"GET /api/board/cards": "?ids=1", "GET /api/board/search": "?q=a"}


def routes(resolver: URLResolver, start: str = "/") -> Iterator[tuple[str, Any]]:
    """Yield every address below a resolver, as its routes have it, and what answers there."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from routes(entry, start + str(entry.pattern))
        elif isinstance(entry, URLPattern):
            yield start + str(entry.pattern), entry.callback


ROUTES = {address: view for address, view in routes(get_resolver()) if "^" not in address}
EVERY_ADDRESS = list(ROUTES)
OURS = [address for address in EVERY_ADDRESS if not address.startswith("/admin/")]
DESK = [
    address
    for address in EVERY_ADDRESS
    if address.startswith("/admin/") and not address.startswith(("/admin/log", "/admin/("))
]


@pytest.fixture
def world(db: None, settings: Any) -> dict[str, Any]:
    """Alice's held order with all that belongs to it, and every kind of client."""
    settings.PAYMENT_WEBHOOK_SECRETS = ["a secret of sixteen"]
    settings.PASSWORD_RESET = True
    settings.THROTTLE_RATES = dict.fromkeys(("reads", "writes", "logins"), "off")
    product = Product.objects.create(sku="TEE-1", name="T-shirt", price="29.99", weight_grams=100)
    StockItem.objects.create(product=product, on_hand=10)
    owner, clerk = make_user(), make_user(is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    order = Order.objects.get(pk=make_order((product, 1), owner=owner, hold=True).order_id)
    told = Notification.objects.create(
        order=order, owner_id=owner.pk, sequence=1, kind="confirmed", channel="none", state="recorded"
    )
    webhook = Subscription.objects.create(url="https://shop.example/hook", events=[])
    delivery = Delivery.objects.create(
        subscription=webhook, order_id=order.pk, sequence=1, event="order_placed"
    )
    return {
        "people": {
            "nobody": None,
            "owner": owner,
            "other": make_user(),
            "clerk": clerk,
            "operator": make_operator(),
        },
        "order": order,
        "product": product,
        "ids": {
            "<uuid:uuid>": order.uuid,
            "<str:token>": links.track_token(order.pk, order.placed_at),
            "<path:name>": "Alice",
            "<int:notification_id>": told.pk,
            "<slug:mail_id>": "mail-1",
            "<slug:uidb64>": "MQ",
            "<slug:token>": "a-b",
            "<slug:name>": "http",
            "<slug:code>": "throttled",
            "<int:zone_id>": Zone.objects.create(name="Here").pk,
            "<int:subscription_id>": webhook.pk,
            "<int:delivery_id>": delivery.pk,
            "<int:token_id>": tokens.issue(owner, expires_at=None)[0].pk,
        },
    }


def filled(address: str, world: dict[str, Any]) -> str:
    """Return an address with the ids of what is Alice's in it."""
    thing = world["product"] if "/inventory" in address else world["order"]
    for placeholder, value in world["ids"].items():
        address = address.replace(placeholder, str(value))
    return address.replace("<str:reference>", str(thing.pk))


def asked(user: User | None, method: str, path: str, body: str = "") -> HttpResponseBase:
    """Return the answer to a request of a user's; what it changed is as before then."""
    client = APIClient(REMOTE_ADDR="203.0.113.9")
    if user:
        client.force_login(user)
    with transaction.atomic():
        answer = client.generic(method, path, body, "application/json")
        if answer.streaming:  # only so many are served at once
            list(answer.streaming_content)  # type: ignore[attr-defined]
        transaction.set_rollback(True)
    return answer


def test_every_address_has_an_entry_and_every_entry_an_address():
    known = {entry.partition(" ")[2] for entry in (*MATRIX, *IN_ONE_SNAPSHOT)}

    assert known == set(OURS)


def test_every_operation_that_is_described_has_an_entry():
    described = description()["paths"]
    shape = {entry.split(" ")[0] + " " + _shape(entry.split(" ")[1]) for entry in (*MATRIX, *IN_ONE_SNAPSHOT)}
    for path, operations in described.items():
        for method in operations:
            assert f"{method.upper()} {_shape(path)}" in shape


def _shape(address: str) -> str:
    parts = ("*" if part[:1] in ("<", "{") else part for part in address.split("/"))
    return "/".join(parts)


def test_everybody_gets_what_is_theirs_and_nothing_else(world):
    found = {entry: statuses_of(entry, world) for entry in MATRIX if entry not in PUBLIC}

    assert found == {entry: MATRIX[entry] for entry in found}


def test_what_anybody_may_have_does_not_depend_on_who_asks(world):
    found = {entry: statuses_of(entry, world, ["nobody", "operator"]) for entry in PUBLIC}

    assert found == {entry: MATRIX[entry][:7] for entry in PUBLIC}


def test_no_address_has_a_method_that_nobody_wrote_down(world):
    possible = {
        f"{method} {address}" for address in OURS for method in METHODS if may_answer(address, method)
    }
    others = possible - {*MATRIX, *IN_ONE_SNAPSHOT}

    found = {entry: statuses_of(entry, world, ["owner", "operator"]) for entry in others}

    assert {entry: statuses for entry, statuses in found.items() if set(statuses.split()) - REFUSED} == {}


def test_who_may_not_do_something_is_told_so_whatever_they_send(world):
    wanted, found = {}, {}
    for entry, statuses in MATRIX.items():
        refused = {who: code for who, code in zip(PEOPLE, statuses.split(), strict=True) if code in REFUSED}
        if entry.startswith(("POST /api/", "PUT /api/", "PATCH /api/")) and refused:
            wanted[entry] = " ".join(refused.values())
            found[entry] = statuses_of(entry, world, list(refused), body="no JSON {")

    assert found == wanted


SAME_FOR_ALL = {"GET /api/schema", "GET /api/asyncapi.yaml"}


def test_no_cache_keeps_what_the_api_answers(world):
    reads = [entry for entry in MATRIX if entry.startswith("GET /api") and entry not in SAME_FOR_ALL]
    kept = []
    for entry in reads:
        path = filled(entry.split(" ")[1], world) + QUERIES.get(entry, "")
        for who in ("nobody", "owner", "operator"):
            answer = asked(world["people"][who], "GET", path)
            if "no-store" not in answer.headers.get("Cache-Control", ""):
                kept.append(f"{entry} for {who}")
    assert kept == []


def test_staff_without_permissions_are_customers(world):
    world["people"]["bare"] = User.objects.create_user("bare", is_staff=True)

    found = {entry: statuses_of(entry, world, ["bare"]) for entry in MATRIX if entry not in PUBLIC}

    assert found == {entry: MATRIX[entry].split()[2] for entry in found}


@pytest.mark.django_db(transaction=True)
def test_the_board_shows_the_orders_that_one_may_see(world):
    world["people"]["bare"] = User.objects.create_user("bare", is_staff=True)
    seen = {}
    for who, user in world["people"].items():
        client = APIClient()
        if user:
            client.force_login(user)
        lanes = client.get("/api/board").json().get("lanes", {})
        seen[who] = sum(len(lane["cards"]) for lane in lanes.values())

    assert seen == {"nobody": 0, "owner": 1, "other": 0, "clerk": 1, "operator": 1, "bare": 0}


def may_answer(address: str, method: str) -> bool:
    """Return whether there is more than Django REST framework's own refusal for a method."""
    view = getattr(ROUTES[address], "cls", None)
    return view is None or hasattr(view, method.lower())


def statuses_of(entry: str, world: dict[str, Any], people: Sequence[str] = PEOPLE, body: str = "") -> str:
    """Return what people get there, as the matrix has it."""
    method, address = entry.split(" ")
    path = filled(address, world) + QUERIES.get(entry, "")
    return " ".join(str(asked(world["people"][who], method, path, body).status_code) for who in people)


@pytest.mark.parametrize("who", ["nobody", "owner"])
def test_nobody_but_staff_gets_in_at_the_desk(world, who):
    let_in = []
    for address in DESK:
        path = filled_at_desk(address, world)
        for method in ("GET", "POST"):
            answer = asked(world["people"][who], method, path)
            if answer.status_code != 302 or not answer["Location"].startswith("/admin/login/"):
                let_in.append(f"{method} {path}: {answer.status_code}")
    assert let_in == []


def test_staff_who_may_only_look_change_nothing_at_the_desk(world):
    changes = []
    for address in DESK:
        if address.startswith("/admin/password_change"):
            continue  # their own
        changes += written_by(world["people"]["clerk"], filled_at_desk(address, world))
    assert changes == []


@pytest.mark.parametrize("model", ["orders/order", "orders/batch", "inventory/stockchange"])
@pytest.mark.parametrize("what", ["add/", "{pk}/delete/", "{pk}/change/"])
def test_not_even_an_administrator_writes_money_or_stock_at_the_desk(world, model, what):
    boss = User.objects.create_superuser("boss")

    assert written_by(boss, f"/admin/{model}/{what.format(pk=world['order'].pk)}") == []


def test_there_is_no_form_for_payments_or_reservations_or_the_journal_at_the_desk():
    models = {"/".join(address.split("/")[2:4]) for address in DESK}
    hidden = ("payments/transaction", "payments/payment", "inventory/reservation", "inventory/stockitem")
    assert not models & {*hidden, "orders/orderevent", "orders/journey"} - {"payments/transactions"}


def written_by(user: User, path: str) -> list[str]:
    """Return the statements by which a POST of a user's changed anything but their own session."""
    with CaptureQueriesContext(connection) as captured:
        answer = asked(user, "POST", path)
    assert answer.status_code < 500
    return [f"{path}: {query['sql'][:100]}" for query in captured if _changes_something(query["sql"])]


def filled_at_desk(address: str, world: dict[str, Any]) -> str:
    address = address.replace("<path:content_type_id>/<path:object_id>", "1/1").replace(
        "<str:name>", "cancel"
    )
    thing = world["product"] if "/inventory/" in address else world["order"]
    return address.replace("<path:object_id>", str(thing.pk)).replace(
        "<id>", str(world["people"]["other"].pk)
    )


def _changes_something(sql: str) -> bool:
    is_write = sql.startswith(("INSERT", "UPDATE", "DELETE")) or " RETURNING " in sql
    return is_write and not any(name in sql for name in ("django_session", '"last_login"'))
