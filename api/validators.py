"""Checks of incoming texts: no invisible characters, no card numbers."""

import re
from typing import Any

from api.problems import Detail, Problem
from telemetry.card_numbers import holds_card_number

MAX_DEPTH = 20
MOST_PROBLEMS = 50

# Controls, lone surrogates.
UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff"
    # Line separators, overrides of direction.
    r"\u2028\u2029\u202a-\u202e\u2066-\u2069"
    # Zero-width and blank characters, but joiners (U+200C, U+200D) and direction marks (U+200E, U+200F) …
    r"\u115f\u1160\u180e\u200b\u2060-\u2064\u3164\ufeff\uffa0]"
    # … only at the start, where they disguise a text.
    r"|^[\u200c-\u200f]"
)
SMALLEST_CARD_NUMBER = 10**12


def check_text(text: str, *, field: str) -> None:
    """Raise Problem on a forbidden text, without quoting it."""
    if UNPRINTABLE.search(text):
        raise Problem(
            "control_characters", "Control, invisible and broken characters are refused.", field=field
        )
    if holds_card_number(text):
        raise card_number_refused(field)


def card_number_refused(field: str) -> Problem:
    """Return the problem, without the number."""
    message = "This looks like a card number. Send the payment provider's token instead."
    return Problem("card_number_refused", message, field=field)


def check_texts(value: Any) -> None:
    """Raise Problem for a JSON value's forbidden texts: the first, with all of them in its details."""
    problems: list[Problem] = []
    _check_value(value, path="", depth=0, problems=problems)
    if problems:
        first = problems[0]
        details = tuple(Detail(each.code, each.message, each.field) for each in problems)
        raise Problem(first.code, first.message, field=first.field, details=details)


def _check_value(value: Any, *, path: str, depth: int, problems: list[Problem]) -> None:
    if isinstance(value, str):
        _note(value, path, problems)
    elif isinstance(value, int) and value >= SMALLEST_CARD_NUMBER:
        _note(str(value), path, problems)
    elif isinstance(value, dict | list):
        _check_inside(value, path=path, depth=depth + 1, problems=problems)


def _check_inside(
    value: dict[str, Any] | list[Any], *, path: str, depth: int, problems: list[Problem]
) -> None:
    if depth > MAX_DEPTH:
        raise Problem("malformed_json", f"Nested more than {MAX_DEPTH} deep.")
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_value(item, path=f"{path}[{index}]", depth=depth, problems=problems)
        return
    for name, item in value.items():
        # A forbidden name is not repeated in the paths of what is inside.
        if _note(name, path, problems):
            inside = f"{path}.{name[:80]}" if path else name[:80]
            _check_value(item, path=inside, depth=depth, problems=problems)


def _note(text: str, path: str, problems: list[Problem]) -> bool:
    """Whether the text is allowed; else note the problem, up to MOST_PROBLEMS."""
    try:
        check_text(text, field=path)
    except Problem as problem:
        if len(problems) < MOST_PROBLEMS:
            problems.append(problem)
        return False
    return True
