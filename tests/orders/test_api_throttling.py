"""Rate limits, and that no request has to wait for Valkey."""

import time

import pytest
import redis
from django.test import Client
from rest_framework.test import APIClient

from api import throttling
from api.throttling import Buckets, Unavailable
from launcher.engines import free_port
from limits.rates import Rate
from tests.inventory.goods import at_once
from tests.orders.conftest import an_order, client_of


@pytest.fixture
def limited(settings):
    """Three of each, and long no more."""
    settings.THROTTLE_RATES = dict.fromkeys(("reads", "writes", "logins"), "3/h")
    url = settings.CACHE_URL
    empty_buckets(url)
    yield
    empty_buckets(url)


def empty_buckets(url):
    client = redis.Redis.from_url(url)
    for key in client.scan_iter("throttle:*"):
        client.delete(key)


@pytest.fixture
def valkey_away(settings):
    settings.CACHE_URL = f"redis://127.0.0.1:{free_port()}/1"
    throttling.buckets.cache_clear()
    yield
    throttling.buckets.cache_clear()


def codes(responses):
    return [response.status_code for response in responses]


def test_it_lets_so_many_through_and_says_when_to_come_back(alice, limited):
    client = client_of(alice)

    responses = [client.post("/api/orders", an_order()) for _ in range(4)]

    assert codes(responses) == [201, 201, 201, 429]
    assert responses[3].json()["error"]["code"] == "throttled"
    assert 1 <= int(responses[3]["Retry-After"]) <= 1200


def test_reading_writing_and_each_user_have_accounts_of_their_own(alice, bob, limited):
    client = client_of(alice)
    for _ in range(4):
        client.post("/api/orders", an_order())

    assert client.get("/api/orders").status_code == 200
    assert client_of(bob).post("/api/orders", an_order()).status_code == 201


def test_logins_are_counted_by_address(alice, limited):
    attempts = [APIClient().post("/api/token", {"username": "alice", "password": str(n)}) for n in range(4)]

    assert codes(attempts) == [401, 401, 401, 429]


@pytest.mark.parametrize("path", ["/admin/login/", "/api/login/login/"])
def test_logins_at_a_form_count_as_well(alice, limited, path):
    attempts = [Client().post(path, {"username": "alice", "password": str(n)}) for n in range(4)]

    assert codes(attempts) == [200, 200, 200, 429]
    assert int(attempts[3]["Retry-After"]) > 0
    assert "<h1>Too many login attempts</h1>" in attempts[3].content.decode()
    assert Client().get(path).status_code == 200


def test_two_hundred_at_once_get_no_more_than_there_is(settings):
    empty_buckets(settings.CACHE_URL)
    shared = Buckets(settings.CACHE_URL)
    shared.take("throttle:warm-up", Rate(1, 3600))

    def ask() -> float:
        for _ in range(20):  # a thread that finds Valkey busy for longer than its patience asks again
            try:
                return shared.take("throttle:test", Rate(20, 3600))
            except Unavailable:
                time.sleep(0.1)
        raise AssertionError("Valkey is not there.")

    waits = at_once([ask] * 200)

    assert waits.count(0) <= 20


def test_a_bucket_fills_again(settings):
    empty_buckets(settings.CACHE_URL)
    shared = Buckets(settings.CACHE_URL)
    rate = Rate(1, 0.05)
    assert shared.take("throttle:test", rate) == 0

    deadline = time.monotonic() + 20
    while shared.take("throttle:test", rate):
        assert time.monotonic() < deadline


def test_orders_are_placed_while_valkey_is_away(alice, limited, valkey_away):
    client = client_of(alice)

    assert codes(client.post("/api/orders", an_order()) for _ in range(5)) == [201] * 5


def test_logins_are_refused_while_valkey_is_away(alice, limited, valkey_away):
    response = APIClient().post("/api/token", {"username": "alice", "password": "a long password"})

    assert (response.status_code, response.json()["error"]["code"]) == (503, "temporarily_unavailable")
    assert response["Retry-After"] == "1"


def test_valkey_is_left_alone_for_a_second_after_it_was_away(settings):
    now = 100.0
    away = Buckets(f"redis://127.0.0.1:{free_port()}/1", clock=lambda: now)
    with pytest.raises(Unavailable) as first:
        away.take("throttle:test", Rate(1, 1))
    assert first.value.__cause__

    now = 100.9
    with pytest.raises(Unavailable) as second:
        away.take("throttle:test", Rate(1, 1))
    assert second.value.__cause__ is None  # it was not asked

    now = 101.1
    with pytest.raises(Unavailable) as third:
        away.take("throttle:test", Rate(1, 1))
    assert third.value.__cause__


@pytest.mark.parametrize(
    ("text", "rate"),
    [("200/s", Rate(200, 1)), ("10/minute", Rate(10, 60)), ("5/h", Rate(5, 3600)), ("off", None)],
)
def test_it_reads_a_rate(text, rate):
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", ["", "200", "0/s", "-1/s", "x/s", "1/fortnight"])
def test_it_refuses_what_is_no_rate(text):
    with pytest.raises(ValueError, match="A rate is like"):
        Rate.parse(text)


# --- Clocks, costs and headers ----------------------------------------------------------------------------

THREE_DAYS = 3 * 86_400


@pytest.mark.parametrize("bucket", ["throttle:reads:user:1", "throttle:logins:ip:192.0.2.1"])
def test_a_bucket_filled_by_a_clock_that_was_ahead_locks_nobody_out(settings, bucket):
    empty_buckets(settings.CACHE_URL)
    valkey = redis.Redis.from_url(settings.CACHE_URL)
    valkey.set(bucket, f"{valkey.time()[0] + THREE_DAYS}.000000")
    shared, rate = Buckets(settings.CACHE_URL), Rate(2, 3600)
    assert [shared.take(bucket, rate) == 0 for _ in range(3)] == [True, True, False]
    assert shared.take(bucket, rate) <= 3600


def test_reading_costs_by_what_it_takes(alice, settings):
    empty_buckets(settings.CACHE_URL)
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"reads": "30/h"}
    client = client_of(alice)

    def left(path: str) -> int:
        return int(client.get(path)["RateLimit-Remaining"])

    assert [left("/api/orders/1"), left("/api/board/search?q=a"), left("/api/orders?pageSize=20")] == [
        29,
        19,
        15,
    ]
    assert codes(client.get("/api/orders?pageSize=200") for _ in range(2)) == [200, 429]
    assert left("/api/orders/1") == 1


def test_what_costs_more_than_there_ever_is_costs_all_there_is(alice, limited):
    client = client_of(alice)
    assert codes([client.get("/api/board/search?q=a"), client.get("/api/orders/1")]) == [200, 429]


def test_answers_say_how_much_is_left(alice, limited):
    client = client_of(alice)
    seen = [client.post("/api/orders", an_order()).headers for _ in range(4)]
    assert [headers["RateLimit-Remaining"] for headers in seen] == ["2", "1", "0", "0"]
    assert {headers["RateLimit-Limit"] for headers in seen} == {"3"}
    assert 2300 < int(seen[1]["RateLimit-Reset"]) <= 2400


def test_tokens_that_one_is_ready_to_wait_for_are_taken_at_once(settings):
    empty_buckets(settings.CACHE_URL)
    shared, rate = Buckets(settings.CACHE_URL), Rate(10, 10)
    waits = [shared.request("throttle:test", rate, tokens=8, ready_to_wait=7).wait for _ in range(3)]
    assert waits == [0, pytest.approx(6, abs=1), pytest.approx(14, abs=1)]
    assert shared.request("throttle:test", rate, tokens=1, ready_to_wait=7).wait <= 7
