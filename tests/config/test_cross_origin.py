"""A shop's own page on another origin: it uses the API where CORS_ALLOWED_ORIGINS names it, and only there."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import origins
from tests.factories import make_order, make_product, make_token, make_user

pytestmark = pytest.mark.django_db

SHOP = "https://shop.example"


@pytest.fixture(autouse=True)
def shop(settings):
    settings.CORS_ALLOWED_ORIGINS = [SHOP]


def preflight(client, origin, method="POST", wanted="authorization,content-type,idempotency-key,if-match"):
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": wanted,
    }
    return client.options("/api/orders", headers=headers)


def test_the_preflight_of_an_allowed_page_names_what_it_may_send(client):
    answer = preflight(client, SHOP)
    assert answer["Access-Control-Allow-Origin"] == SHOP
    assert {"idempotency-key", "if-match"} <= set(answer["Access-Control-Allow-Headers"].split(", "))
    assert "Access-Control-Allow-Credentials" not in answer
    assert "Access-Control-Allow-Origin" not in preflight(client, "https://evil.example")


def test_it_reads_answers_and_refusals_with_their_headers(client):
    token = make_token(make_user())
    for authorization, status in ((f"Bearer {token}", 200), ("Bearer wrong", 401)):
        answer = client.get("/api/orders", headers={"Origin": SHOP, "Authorization": authorization})
        assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (status, SHOP)
        assert "Location" in answer["Access-Control-Expose-Headers"]


def test_pages_themselves_are_not_read_from_elsewhere(client):
    assert "Access-Control-Allow-Origin" not in client.get("/health/live", headers={"Origin": SHOP})


def test_an_allowed_page_cannot_use_the_login_of_a_session(client):
    alice = make_user()
    order = make_order((make_product(), 1), owner=alice, hold=True)
    client.force_login(alice)
    client.handler.enforce_csrf_checks = True
    answer = client.post(f"/api/orders/{order.order_id}/cancel", headers={"Origin": SHOP})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf_failed")


@pytest.mark.parametrize(
    "wrong", ["*", "shop.example", "https://*.shop.example", "https://shop.example/path", "null"]
)
def test_what_is_no_origin_stops_the_boot(monkeypatch, wrong):
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", wrong)
    with pytest.raises(ImproperlyConfigured, match="CORS_ALLOWED_ORIGINS"):
        origins("CORS_ALLOWED_ORIGINS")


def test_its_spelling_is_that_of_browsers(monkeypatch):
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", "https://Shop.example/, http://localhost:3000")
    assert origins("CORS_ALLOWED_ORIGINS") == ["https://shop.example", "http://localhost:3000"]
