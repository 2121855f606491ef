"""What clients expect of any HTTP API, at every address of this one."""

import json
import re
from functools import cache

import pytest
from django.test import Client
from rest_framework.test import APIClient

from orders.http import bulk_views
from orders.http.places import Places
from tests.factories import make_order, make_product, make_user
from tests.fixtures.described import description
from tests.security.conftest import make_operator

WRONG_TOKENS = ["Bearer", "Basic YTpi", "nonsense", "Token ", "Bearer  ", "Bearer wrong", ""]
ONLY_IN_A_DEMO = ("/api/board/orders", "/api/board/trouble")
# What the answer to a repeat may differ in.
CHANGING = {"X-Request-ID", "Date", "RateLimit", "RateLimit-Remaining", "RateLimit-Reset", "Content-Length"}


@cache
def operations() -> list[tuple[str, str]]:
    paths = description()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def filled(path: str, order_id: int, product_id: int) -> str:
    number = product_id if "inventory" in path else order_id
    return re.sub(r"\{\w+\}", str(number), path)


@pytest.fixture
def addresses(db, settings, monkeypatch):
    # Answers that other tests have not read yet keep their places.
    monkeypatch.setattr(bulk_views, "EXPORTS_OF_STAFF", Places(3, of_account=2))
    settings.THROTTLE_RATES = dict.fromkeys(settings.THROTTLE_RATES, "off")
    product = make_product()
    order_id = make_order((product, 1)).order_id
    return [
        (method, filled(path, order_id, product.pk))
        for method, path in operations()
        if path not in ONLY_IN_A_DEMO
    ]


@pytest.fixture
def as_operator(db):
    client = APIClient()
    client.force_authenticate(make_operator())
    return client


def test_unknown_query_parameters_are_refused_everywhere(addresses, as_operator):
    for method, address in addresses:
        answer = as_operator.generic(method, f"{address}?nosuch=1&x=2")

        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "unknown_parameter"), address
        assert [detail["field"] for detail in error["details"]] == ["nosuch", "x"]


def test_a_parameter_that_is_no_list_is_given_once(as_operator):
    answer = as_operator.get("/api/inventory?pageSize=1&pageSize=2")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "invalid_parameter", "pageSize")
    assert as_operator.get("/api/orders?status=Pending&status=Confirmed").status_code == 200


def test_a_packed_body_is_refused_with_what_is_accepted(as_operator):
    for path in ("/api/orders", "/api/orders/bulk", "/api/payments/webhook"):
        answer = as_operator.post(path, {}, headers={"Content-Encoding": "gzip"})
        assert (answer.status_code, answer["Accept-Encoding"]) == (415, "identity"), path
    assert as_operator.post("/api/orders", {}, headers={"Content-Encoding": "Identity"}).status_code == 400


def test_a_byte_order_mark_is_refused_by_its_name(as_operator):
    answer = as_operator.generic("POST", "/api/orders", b"\xef\xbb\xbf{}", "application/json")
    assert "byte order mark" in answer.json()["error"]["message"]


def test_an_empty_accept_header_accepts_anything(as_operator):
    for accept in ("", " ", ","):
        assert as_operator.get("/api/orders", headers={"Accept": accept}).status_code == 200


def test_times_are_as_in_rfc_3339(as_operator):
    for time in ("2026-01-31t00:00:00z", "2026-01-31T00:00:00+02:00", "2026-01-31T00:00:00%2b02:00"):
        assert as_operator.get(f"/api/orders?placedFrom={time}").status_code == 200, time


def test_a_slash_at_the_end_changes_nothing(addresses, as_operator):
    for method, address in addresses:
        if method == "GET":
            plain, with_slash = as_operator.get(address), as_operator.get(f"{address}/")
            for answer in (plain, with_slash):
                answer.close()  # else an export keeps its place, of which there are three
            assert (plain.status_code, with_slash.status_code) == (plain.status_code,) * 2, address
    placed = as_operator.post("/api/orders/", {"customerName": "A", "items": [{"productId": 0}]})
    assert placed.json()["error"]["field"].startswith("items[0]")


def test_head_is_get_without_a_body_and_options_names_the_methods(addresses, as_operator):
    described: dict[str, set[str]] = {}
    for method, address in addresses:
        described.setdefault(address, set()).add(method)
    for address, methods in described.items():
        options = as_operator.options(address)
        assert (options.status_code, methods <= set(options["Allow"].split(", "))) == (200, True), address
        if "GET" not in methods:
            assert as_operator.head(address).status_code == 405
            continue
        head, got = as_operator.head(address), as_operator.get(address)
        got.close()  # else an export keeps its place
        assert (head.status_code, b"".join(head)) == (got.status_code, b""), address
        assert set(head.headers) - CHANGING == set(got.headers) - CHANGING


@pytest.mark.parametrize("header", WRONG_TOKENS)
def test_an_authorization_header_that_cannot_be_read_is_refused_with_the_reason(db, header):
    answer = Client().get("/api/orders", headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"]
    assert answer.json()["error"]["code"] == "authentication_failed"
    assert "oken" in answer.json()["error"]["message"]


def test_a_wrong_password_is_401(db):
    make_user("jane")

    answer = APIClient().post("/api/token", {"username": "jane", "password": "wrong"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_credentials")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_limits_are_told_in_the_headers_of_the_draft(db, settings):
    settings.THROTTLE_RATES = settings.THROTTLE_RATES | {"reads": "3/hour", "logins": "2/hour"}
    client = APIClient()
    client.force_authenticate(make_user())

    answers = [client.get("/api/tokens") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert {answer["RateLimit-Policy"] for answer in answers} == {'"reads";q=3;w=3600'}
    assert [answer["RateLimit"].partition(";t=")[0] for answer in answers] == [
        '"reads";r=2',
        '"reads";r=1',
        '"reads";r=0',
        '"reads";r=0',
    ]


# --- RFC 9457 ---------------------------------------------------------------------------------------------

PREFER_PROBLEMS = [
    "application/problem+json",
    "application/json, application/problem+json",
    "application/json;q=0.5, application/problem+json;q=0.9",
]
PREFER_OURS = [
    "application/json",
    "*/*",
    "application/json, application/problem+json;q=0.5",
    "application/problem+json;q=0",
]


@pytest.mark.parametrize("accept", PREFER_PROBLEMS)
def test_who_prefers_problem_json_gets_it(as_operator, accept):
    body = {"customerName": "", "items": []}

    answer = as_operator.post("/api/orders", body, headers={"Accept": accept})

    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    problem = json.loads(answer.content)
    assert (problem["status"], problem["title"], problem["code"]) == (400, "Bad Request", "too_short")
    assert problem["type"] == "/errors/too_short"
    assert problem["detail"] == problem["errors"][0]["message"]
    assert {error["field"] for error in problem["errors"]} == {"customerName", "items"}


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/api/orders?nosuch=1", "/api/orders?customer=4111111111111111"]
)
def test_problems_outside_of_views_have_the_same_form(as_operator, path):
    answer = as_operator.get(path, headers={"Accept": "application/problem+json"})

    assert answer["Content-Type"] == "application/problem+json"
    assert set(json.loads(answer.content)) >= {"type", "title", "status", "detail", "code"}


@pytest.mark.parametrize("accept", PREFER_OURS)
def test_others_get_todays_form(as_operator, accept):
    answer = as_operator.get("/api/orders/999", headers={"Accept": accept})

    assert answer["Content-Type"] == "application/json"
    assert list(answer.json()) == ["error"]
