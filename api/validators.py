"""Which texts may come in at all, whatever field they are for: nothing invisible, no card numbers."""

import re
from typing import Any

from api.problems import Problem
from telemetry.card_numbers import holds_card_number

DEEPEST = 20

# Control characters, C1 controls, and halves of surrogate pairs, which PostgreSQL or UTF-8 could not store.
UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff"
    # Line separators, and what makes a text read in another direction than it is stored.
    r"\u2028\u2029\u202a-\u202e\u2066-\u2069"
    # Blanks of no width, and letters that look like nothing. The joiners (U+200C, U+200D) belong into Persian names
    # and emoji, and the direction marks (U+200E, U+200F) into Hebrew and Arabic ones.
    r"\u115f\u1160\u180e\u200b\u2060-\u2064\u3164\ufeff\uffa0]"
    # … but a text that begins with one of those looks like another, or like none.
    r"|^[\u200c-\u200f]"
)
SMALLEST_CARD_NUMBER = 10**12


def check_text(text: str, *, field: str) -> None:
    """Raise Problem if the text holds what no field may hold. The text itself is never repeated."""
    if UNPRINTABLE.search(text):
        raise Problem(
            "control_characters", "Control, invisible and broken characters are refused.", field=field
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
