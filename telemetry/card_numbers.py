"""Card numbers: finding them where none belongs, and blacking them out where texts of others come in."""

import re

# 13 to 19 digits in a row, or in groups that stand alone, as people or addresses write them. The date and time of an
# order's number alone have as many digits as a card, and one in ten the check digit: it is matched as a whole, and
# left alone.
CANDIDATE = re.compile(
    r"\b(?i:ORD)-\d{14}-\d{4,12}\b"
    r"|(?P<digits>(?<!\d)\d{13,19}(?!\d)|(?<![\w-])\d(?:(?:[ +-]|%20)?\d){12,18}(?![\w-]))",
    re.ASCII,
)
# Ids whose digits mean nothing, so that one in a few thousand is not taken for a card.
RANDOM_ID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
SHORTEST = 13
BLACK = "[card number]"


def holds_card_number(text: str) -> bool:
    """Return whether some digits of the text have the length and the check digit of a card number."""
    if len(text) < SHORTEST or RANDOM_ID.fullmatch(text):
        return False
    return any(_is_card_number(found) for found in CANDIDATE.finditer(text))


def masked(text: str) -> str:
    """Return the text with its card numbers blacked out."""
    if not holds_card_number(text):
        return text
    return CANDIDATE.sub(lambda found: BLACK if _is_card_number(found) else found[0], text)


def _is_card_number(found: re.Match[str]) -> bool:
    if found["digits"] is None:
        return False
    digits = re.sub(r"%20|\D", "", found["digits"])
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    plain = [int(digit) for digit in digits[-1::-2]]
    return (sum(doubled) + sum(plain)) % 10 == 0
