"""Finds and masks card numbers."""

import re
from collections.abc import Iterator

# Separators within card numbers, URL-encoded ones included.
SEPARATOR = r"(?:[^\S\r\n]|[.\-_/+\u00b7\u2010-\u2015\u2212]|%20|%2[DEFdef]|%C2%A0)"
# Order numbers have as many digits as a card, and one in ten passes the check digit: matched whole, skipped.
CANDIDATE = re.compile(
    rf"\b(?i:ORD)-[0-9]{{14}}-[0-9]{{4,12}}\b|(?P<digits>\d(?:{SEPARATOR}{{0,3}}\d){{12,}})"
)
GROUP = re.compile(rf"{SEPARATOR}|(?P<group>\d+)")
# One random id in thousands would pass.
RANDOM_ID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
SHORTEST, LONGEST = 13, 19
BLACK = "[card number]"

# Issued prefixes and lengths; without them one number in ten passes, and timestamps, which make good keys.
ISSUED = re.compile(
    "|".join(
        (
            r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})",  # Visa
            r"(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}",  # Mastercard
            r"220[0-4][0-9]{12,15}",  # Mir
            r"3[47][0-9]{13}",  # American Express
            r"(?:30[0-5]|3095|36|3[89])[0-9]{10,17}",  # Diners Club
            r"35(?:2[89]|[3-8][0-9])[0-9]{12,15}",  # JCB
            r"(?:50|5[6-8]|63|67)[0-9]{11,17}",  # Maestro
            r"6[0245][0-9]{14,17}",  # Discover, UnionPay, RuPay
            r"8[12][0-9]{14,17}",  # UnionPay, RuPay
            r"9792[0-9]{12}",  # Troy
        )
    )
)


def holds_card_number(text: str) -> bool:
    """Whether the text holds a valid prefix, length and check digit."""
    if len(text) < SHORTEST or RANDOM_ID.fullmatch(text):
        return False
    return any(True for _ in _card_numbers(text))


def masked(text: str) -> str:
    if len(text) < SHORTEST or RANDOM_ID.fullmatch(text):
        return text
    pieces, end = [], 0
    for start, stop in _card_numbers(text):
        pieces += [text[end:start], BLACK]
        end = stop
    return "".join([*pieces, text[end:]])


def _card_numbers(text: str) -> Iterator[tuple[int, int]]:
    for found in CANDIDATE.finditer(text):
        if found["digits"] is not None:
            yield from _in_run(text, *found.span())


def _in_run(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    groups = [match.span() for match in GROUP.finditer(text, start, stop) if match["group"]]
    # Digits joined to letters are part of an id.
    is_alone = not _is_word(text[start - 1 : start]) and not _is_word(text[stop : stop + 1])
    first = 0
    while first < len(groups):
        last = _last_group(text, groups, first, is_alone=is_alone)
        if last is not None:
            yield groups[first][0], groups[last][1]
            first = last
        first += 1


def _last_group(text: str, groups: list[tuple[int, int]], first: int, *, is_alone: bool) -> int | None:
    digits = ""
    for number in range(first, len(groups) if is_alone else first + 1):
        digits += _as_ascii(text[slice(*groups[number])])
        if len(digits) > LONGEST:
            return None
        if len(digits) >= SHORTEST and ISSUED.fullmatch(digits) and _has_check_digit(digits):
            return number
    return None


def _is_word(character: str) -> bool:
    return character.isalnum() or character in ("_", "-") if character else False


def _as_ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def _has_check_digit(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    plain = [int(digit) for digit in digits[-1::-2]]
    return (sum(doubled) + sum(plain)) % 10 == 0
