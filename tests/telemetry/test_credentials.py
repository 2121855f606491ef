"""Credentials are masked in URLs, and nothing else is."""

import pytest

from telemetry.credentials import without_credentials, without_secrets


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GET /ws/orders?ticket=sesame", "GET /ws/orders?ticket=[secret]"),
        ("GET /password/reset/MQ/c8-5f3a9/ 302", "GET /password/reset/MQ/[secret]/ 302"),
        (f"Bearer opt_{chr(65) * 43}, sent", "Bearer [secret], sent"),
        ("/orderHub?id=7&access_token=a.b-c&after=3", "/orderHub?id=7&access_token=[secret]&after=3"),
        (
            "{'request': 'GET /api?TOKEN=sesame', 'code': 400}",
            "{'request': 'GET /api?TOKEN=[secret]', 'code': 400}",
        ),
        (
            "/api/orders?token=a&api_key=b&password=c",
            "/api/orders?token=[secret]&api_key=[secret]&password=[secret]",
        ),
    ],
)
def test_it_is_blacked_out(text, left):
    assert without_credentials(text) == left


@pytest.mark.parametrize(
    "text", ["/api/orders?status=pending&after=3", "ticket=7 was issued", "/a?tickets=2", ""]
)
def test_other_parameters_are_left_alone(text):
    assert without_credentials(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/orders?email=ann@example.com&x=1",
        "GET /api/orders?email=ann.web%2Bshop%40example.co.uk",
        "Key (email)=(ann@example.com) already exists.",
        "<ann@example.com>",
    ],
)
def test_e_mail_addresses_are_masked(text):
    assert "example" not in without_secrets(text)
    assert "[e-mail]" in without_secrets(text)


@pytest.mark.parametrize(
    "text",
    ["worker orders@host.example.com ready", "postgres://orders_app@db.example.com/orders", "a @ b.c", "x@y"],
)
def test_names_of_workers_and_servers_are_not(text):
    assert without_secrets(text) == text
