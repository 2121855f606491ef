"""DRF's refusals of fields, as flat details under the API's codes."""

from collections.abc import Iterator
from typing import Any

from api.problems import Detail

# DRF's field errors, under the API's codes.
RENAMED_OF_FIELDS = {
    "blank": "too_short",
    "empty": "too_short",
    "invalid": "wrong_type",
    "invalid_choice": "invalid",
    "max_decimal_places": "too_many_decimals",
    "max_digits": "too_large",
    "max_length": "too_long",
    "max_string_length": "too_long",
    "max_value": "too_large",
    "max_whole_digits": "too_large",
    "min_length": "too_short",
    "min_value": "too_small",
    "not_a_list": "wrong_type",
    "null": "wrong_type",
    "null_characters_not_allowed": "control_characters",
    "unique": "already_there",
}


def flatten(detail: Any, path: str = "") -> Iterator[Detail]:
    """Yield a detail for each refused field, with its path in the body."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            step = f"[{name}]" if isinstance(name, int) else f".{name}" if path else str(name)
            yield from flatten(inner, path if name == "non_field_errors" else f"{path}{step}")
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            yield from flatten(inner, f"{path}[{index}]" if isinstance(inner, dict) else path)
    else:
        code = getattr(detail, "code", "invalid")
        yield Detail(RENAMED_OF_FIELDS.get(code, code), str(detail), path)
