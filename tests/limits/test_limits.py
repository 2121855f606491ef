"""Limits that operators set for single accounts."""

import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ValidationError
from django.test import Client

from limits import overrides
from limits.models import AccountLimit
from limits.overrides import override_of
from tests.orders.conftest import alice, an_order, bob, client_of, shop  # noqa: F401 - fixtures

LIMITS = "/admin/limits/accountlimit/"


@pytest.fixture(autouse=True)
def fresh(settings):
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES, "off")
    buckets = redis.Redis.from_url(settings.CACHE_URL)
    for key in buckets.scan_iter("throttle:*"):
        buckets.delete(key)
    overrides._overrides.forget()
    yield
    overrides._overrides.forget()


def limit(user: User, **rates: str) -> None:
    AccountLimit.objects.create(user=user, **rates)
    overrides.forget()


def codes(client, count: int) -> list[int]:
    return [client.post("/api/orders", an_order()).status_code for _ in range(count)]


def test_an_account_is_slowed_down_and_others_are_not(alice, bob):  # noqa: F811
    limit(alice, writes="2/h")
    assert codes(client_of(alice), 3) == [201, 201, 429]
    assert codes(client_of(bob), 3) == [201] * 3


def test_a_blocked_account_may_still_read_if_only_its_writes_are(alice):  # noqa: F811
    limit(alice, writes="0")
    client = client_of(alice)
    refused = client.post("/api/orders", an_order())
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "account_blocked")
    assert client.get("/api/orders").status_code == 200


def test_lines_of_bulk_can_be_blocked_alone(alice):  # noqa: F811
    limit(alice, bulk_lines="0")
    client = client_of(alice)
    bulk = client.generic("POST", "/api/orders/bulk", "{}\n", "application/x-ndjson")
    assert (bulk.status_code, bulk.json()["error"]["code"]) == (403, "account_blocked")
    assert codes(client, 1) == [201]


def test_an_account_may_do_more_than_others(alice, settings):  # noqa: F811
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"writes": "1/h"}
    limit(alice, writes="off")
    assert codes(client_of(alice), 3) == [201] * 3


def test_limits_are_not_read_for_every_request(alice):  # noqa: F811
    limit(alice, writes="5/h")
    assert override_of(alice.pk, "writes") == "5/h"
    AccountLimit.objects.all().delete()
    assert override_of(alice.pk, "writes") == "5/h"
    overrides.forget()
    assert override_of(alice.pk, "writes") == ""


@pytest.mark.parametrize("rate", ["", "0", "off", "5/s", "10/minute"])
def test_it_takes_a_rate(alice, rate):  # noqa: F811
    AccountLimit(user=alice, writes=rate).full_clean()


@pytest.mark.parametrize("rate", ["5", "0/s", "-1/s", "often", "5/fortnight"])
def test_it_refuses_what_is_no_rate(alice, rate):  # noqa: F811
    with pytest.raises(ValidationError, match="A rate is like"):
        AccountLimit(user=alice, writes=rate).full_clean()


def test_an_operator_sets_changes_and_lifts_a_limit_at_the_desk(alice, db):  # noqa: F811
    operator = User.objects.create_user("chief", is_staff=True)
    operator.user_permissions.set(Permission.objects.filter(content_type__app_label="limits"))
    desk = Client()
    desk.force_login(operator)

    desk.post(f"{LIMITS}add/", {"user": alice.pk, "writes": "1/h", "reason": "stolen cards"})
    assert override_of(alice.pk, "writes") == "1/h"
    refused = desk.post(f"{LIMITS}{alice.pk}/change/", {"writes": "often"})
    assert "A rate is like" in refused.content.decode()
    desk.post(f"{LIMITS}{alice.pk}/change/", {"writes": "0"})
    assert override_of(alice.pk, "writes") == "0"
    assert "stolen cards" in desk.get(LIMITS).content.decode()
    desk.post(f"{LIMITS}{alice.pk}/delete/", {"post": "yes"})
    assert override_of(alice.pk, "writes") == ""


def test_who_may_only_look_sets_no_limit(alice, db):  # noqa: F811
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename="view_accountlimit"))
    desk = Client()
    desk.force_login(clerk)
    assert desk.get(LIMITS).status_code == 200
    assert desk.post(f"{LIMITS}add/", {"user": alice.pk, "writes": "0"}).status_code == 403
