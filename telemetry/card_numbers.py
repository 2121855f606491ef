"""Card numbers: finding them where none belongs, and blacking them out where texts of others come in."""

import re
from collections.abc import Iterator

# What people and addresses write between the digits of a card number: blanks of all kinds, dots, dashes, slashes.
SEPARATOR = r"(?:[^\S\r\n]|[.\-_/+\u00b7\u2010-\u2015\u2212]|%20|%2[DEFdef]|%C2%A0)"
# Thirteen digits or more of any script, in a row or in groups. The date and time of an order's number alone have as
# many digits as a card, and one in ten the check digit: it is matched as a whole, and left alone.
CANDIDATE = re.compile(
    rf"\b(?i:ORD)-[0-9]{{14}}-[0-9]{{4,12}}\b|(?P<digits>\d(?:{SEPARATOR}{{0,3}}\d){{12,}})"
)
GROUP = re.compile(rf"{SEPARATOR}|(?P<group>\d+)")
# Ids whose digits mean nothing, so that one in a few thousand is not taken for a card.
RANDOM_ID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
SHORTEST, LONGEST = 13, 19
BLACK = "[card number]"

# First digits and lengths that card networks issue. Without them one number in ten would pass for a card, and
# moments since 1970, which make good keys, begin with 1.
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
    """Return whether digits of the text have the first digits, the length and the check digit of a card number."""
    if len(text) < SHORTEST or RANDOM_ID.fullmatch(text):
        return False
    return any(True for _ in _card_numbers(text))


def masked(text: str) -> str:
    """Return the text with its card numbers blacked out."""
    if len(text) < SHORTEST or RANDOM_ID.fullmatch(text):
        return text
    pieces, end = [], 0
    for start, stop in _card_numbers(text):
        pieces += [text[end:start], BLACK]
        end = stop
    return "".join([*pieces, text[end:]])


def _card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Yield where card numbers stand in a text, in order, none within another."""
    for found in CANDIDATE.finditer(text):
        if found["digits"] is not None:
            yield from _in_run(text, *found.span())


def _in_run(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    groups = [match.span() for match in GROUP.finditer(text, start, stop) if match["group"]]
    # Groups that letters are joined to are an id, of which no part is a card.
    is_alone = not _is_word(text[start - 1 : start]) and not _is_word(text[stop : stop + 1])
    first = 0
    while first < len(groups):
        last = _last_group(text, groups, first, is_alone=is_alone)
        if last is not None:
            yield groups[first][0], groups[last][1]
            first = last
        first += 1


def _last_group(text: str, groups: list[tuple[int, int]], first: int, *, is_alone: bool) -> int | None:
    """Return with which group a card number ends that begins with group `first`; None if none begins there."""
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
