"""Card numbers in texts: found, and blacked out; nothing else is touched."""

import pytest

from telemetry.card_numbers import holds_card_number, masked

CARD = "4111111111111111"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"card {CARD} declined", "card [card number] declined"),
        ("4111 1111 1111 1111", "[card number]"),
        ("4111-1111-1111-1111.", "[card number]."),
        ("GET /a/5500%200055%205555%205559?b=4111+1111+1111+1111", "GET /a/[card number]?b=[card number]"),
        (f"/api/orders/{CARD}?q={CARD}", "/api/orders/[card number]?q=[card number]"),
        (f"ORD-20261121225415-0077 {CARD}", "ORD-20261121225415-0077 [card number]"),
    ],
)
def test_they_are_blacked_out(text, left):
    assert masked(text) == left
    assert not holds_card_number(left)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # the check digit is wrong
        "79927398713",  # too short
        "5e0d1fe2-4111-1111-1111-111111111111",  # the digits of an id mean nothing
        "ORD-20261121225415-0077",
        "2026-11-22T00:53:17.670767Z",
        "",
    ],
)
def test_other_digits_are_left_alone(text):
    assert masked(text) == text
