"""Which texts may come in at all, whatever field they are for: no control characters, no card numbers."""

import re
from typing import Any

from orders.problems import Problem

DEEPEST = 20

# Control characters, C1 controls, and halves of surrogate pairs, which PostgreSQL or UTF-8 could not store.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# 13 to 19 digits in a row, or in groups that stand alone.
DIGITS = re.compile(r"(?<!\d)\d{13,19}(?!\d)|(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
# Ids whose digits mean nothing, so that one in a few thousand is not taken for a card.
RANDOM_ID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
# Its date and time alone have as many digits as a card, and one in ten the check digit.
ORDER_NUMBER = re.compile(r"\bORD-\d{14}-\d{4,12}\b", re.ASCII | re.IGNORECASE)
SMALLEST_CARD_NUMBER = 10**12


def check_text(text: str, *, field: str) -> None:
    """Raise Problem if the text holds what no field may hold. The text itself is never repeated."""
    if UNPRINTABLE.search(text):
        raise Problem(
            "control_characters", "Control characters and broken characters are refused.", field=field
        )
    if holds_card_number(text):
        raise Problem(
            "card_number_refused",
            "This looks like a card number. Send the payment provider's token instead.",
            field=field,
        )


def check_texts(value: Any, *, path: str = "", depth: int = 0) -> None:
    """`check_text` for every text in a JSON value, the names of its fields included."""
    if isinstance(value, str):
        check_text(value, field=path)
    elif isinstance(value, int) and value >= SMALLEST_CARD_NUMBER:
        check_text(str(value), field=path)
    elif isinstance(value, dict | list):
        _check_inside(value, path=path, depth=depth + 1)


def _check_inside(value: dict[str, Any] | list[Any], *, path: str, depth: int) -> None:
    if depth > DEEPEST:
        raise Problem("malformed_json", f"Nested more than {DEEPEST} deep.")
    if isinstance(value, list):
        for index, item in enumerate(value):
            check_texts(item, path=f"{path}[{index}]", depth=depth)
        return
    for name, item in value.items():
        check_text(name, field=path)
        check_texts(item, path=f"{path}.{name[:80]}" if path else name[:80], depth=depth)


def holds_card_number(text: str) -> bool:
    """Return whether some digits of the text have the length and the check digit of a card number."""
    if len(text) < 13 or RANDOM_ID.fullmatch(text):
        return False
    found = DIGITS.findall(ORDER_NUMBER.sub("ORD", text))
    return any(_passes_luhn(re.sub(r"\D", "", digits)) for digits in found)


def _passes_luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    plain = [int(digit) for digit in digits[-1::-2]]
    return (sum(doubled) + sum(plain)) % 10 == 0
