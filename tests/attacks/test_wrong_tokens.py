"""Invalid tokens tried from one address, and what a valid one from there sees meanwhile."""

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiToken
from api import authentication, wrong_tokens
from tests.factories import make_token, make_user

MOST = 5
WHERE_OF_ORDER = "/api/orders/1"


@pytest.fixture(autouse=True)
def few_tries(settings, db):
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES, "off") | {"wrong_tokens": f"{MOST}/h"}
    empty = redis.Redis.from_url(settings.CACHE_URL)
    for key in empty.scan_iter("throttle:*"):
        empty.delete(key)


def ask(token: str, *, address: str = "203.0.113.7"):
    headers = {"Authorization": f"Token {token}", "X-Forwarded-For": address}
    return Client(headers=headers).get(WHERE_OF_ORDER)


def token() -> str:
    return make_token(make_user())


def test_after_some_wrong_tokens_the_database_is_not_asked_any_more():
    assert [ask(f"{n:040}").status_code for n in range(MOST)] == [401] * MOST
    with CaptureQueriesContext(
        connection,
    ) as asked:
        refused = ask("f" * 40)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "throttled")
    assert int(refused["Retry-After"]) > 0
    assert not [query for query in asked if "token" in query["sql"]]


def test_one_wrong_token_again_and_again_counts_as_well():
    assert [ask("0" * 40).status_code for _ in range(MOST + 2)] == [401] * MOST + [429] * 2


def test_a_right_token_from_the_same_address_is_let_in_as_before(monkeypatch):
    right = token()
    assert ask(right).status_code == 404
    for n in range(MOST + 3):
        ask(f"{n:040}")
    authentication._owners._owners.clear()  # as it is two seconds later
    assert ask(right).status_code == 404


def test_another_address_is_not_held_up():
    for n in range(MOST + 1):
        ask(f"{n:040}")
    assert ask(token(), address="203.0.113.8").status_code == 404


def test_any_number_of_right_tokens_may_come_from_one_address():
    assert [ask(token()).status_code for _ in range(MOST * 3)] == [404] * MOST * 3


def test_a_token_that_was_withdrawn_is_wrong_from_then_on():
    right = token()
    ask(right)
    ApiToken.objects.all().delete()
    authentication._owners._owners.clear()
    assert ask(right).status_code == 401
    assert right not in wrong_tokens._right


def test_no_token_at_all_asks_nothing_and_is_no_wrong_one():
    statuses = [Client().get(WHERE_OF_ORDER).status_code for _ in range(MOST + 1)]
    assert statuses == [401] * (MOST + 1)
