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


SPELLINGS = [
    "4111.1111.1111.1111",
    "4111/1111/1111/1111",
    "4111_1111_1111_1111",
    "4111\u00a01111\u00a01111\u00a01111",
    "4111  1111  1111  1111",
    "4111 - 1111 - 1111 - 1111",
    "4111\u20131111\u20131111\u20131111",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "４１１１１１１１１１１１１１１１",  # noqa: RUF001
    "٤١١١١١١١١١١١١١١١",
    "3782 822463 10005",
    "5555-5555-5555-4444",
    "2223 0031 2200 3222",
    "6011111111111117",
    "3530111333300000",
    "36227206271667",
    "6200000000000005",
]


@pytest.mark.parametrize("number", SPELLINGS)
def test_every_spelling_is_found_alone_and_among_others(number):
    assert masked(f"my card: {number}, thanks") == "my card: [card number], thanks"
    assert masked(f"17 {number} 12/27 123").startswith("17 [card number]")


def test_keys_and_ids_of_machines_are_none():
    moments = [1_764_000_000_000_000_000 + n * 987_654_321_987_654 for n in range(200)]
    keys = [str(ns // unit) for ns in moments for unit in (1, 10**3, 10**6)]

    assert [key for key in keys if holds_card_number(key)] == []


def test_what_no_network_issues_is_none():
    numbers = [f"{first}{n:015d}" for first in "0179" for n in range(500)]

    assert [number for number in numbers if holds_card_number(number)] == []


def test_a_long_text_of_digits_is_searched_in_reasonable_time():
    assert not holds_card_number("4 " * 100_000)
    assert not holds_card_number("7" * 200_000)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # the check digit is wrong
        "79927398713",  # too short
        "5e0d1fe2-4111-1111-1111-111111111111",  # the digits of an id mean nothing
        "ORD-20261121225415-0077",
        "/api/orders/5e0d1fe2-4111-1111-1111-111111111111/events",
        "192.168.100.100 10.20.30.40",
        "2026-11-22T00:53:17.670767Z",
        "",
    ],
)
def test_other_digits_are_left_alone(text):
    assert masked(text) == text
