"""Credentials are masked in URLs, and nothing else is."""

import pytest

from telemetry.credentials import without_credentials


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("GET /ws/orders?ticket=sesame", "GET /ws/orders?ticket=[secret]"),
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
