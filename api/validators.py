"""Which texts may come in at all, whatever field they are for: no control characters, no card numbers."""

import re
from typing import Any

from api.problems import Problem
from telemetry.card_numbers import holds_card_number

DEEPEST = 20

# Control characters, C1 controls, and halves of surrogate pairs, which PostgreSQL or UTF-8 could not store.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
SMALLEST_CARD_NUMBER = 10**12


def check_text(text: str, *, field: str) -> None:
    """Raise Problem if the text holds what no field may hold. The text itself is never repeated."""
    if UNPRINTABLE.search(text):
        raise Problem(
            "control_characters", "Control characters and broken characters are refused.", field=field
        )
    if holds_card_number(text):
        raise card_number_refused(field)


def card_number_refused(field: str) -> Problem:
    """Return what is said of a card number; the number itself is never repeated."""
    message = "This looks like a card number. Send the payment provider's token instead."
    return Problem("card_number_refused", message, field=field)


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
