"""msgspec's complaints about a body, as stable codes, fields and sentences for people."""

import re

from api.problems import Detail

# Sentences instead of regular expressions; `{0}`, `{1}`: groups of the pattern.
COMPLAINTS: list[tuple[re.Pattern[str], str, str]] = [
    (
        re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL),
        "unknown_field",
        "There is no such field.",
    ),
    (re.compile(r"Object missing required field `(?P<name>\w+)`"), "required", "This field is required."),
    (
        re.compile(r"conflict of (?P<name>\w+)"),
        "conflicting_fields",
        "Give this field or the others, not both.",
    ),
    (re.compile(r"missing (?P<name>\w+)"), "required", "This field is required."),
    (
        re.compile(r"unknown country (?P<name>\w+)"),
        "unknown_country",
        "This is no ISO 3166 code, such as DE or GB.",
    ),
    (
        re.compile(r"unknown currency (?P<name>\w+)"),
        "unknown_currency",
        "This is no ISO 4217 code, such as USD.",
    ),
    (
        re.compile(r"impossible email (?P<name>\w+)"),
        "wrong_format",
        "This is no address that mail can reach, such as jane@example.com.",
    ),
    (
        re.compile(r"unknown payment (?P<name>gateway)"),
        "unknown_gateway",
        "This is no gateway of the shop's.",
    ),
    (
        re.compile(r"impossible payment (?P<name>\w+)"),
        "wrong_format",
        "This is no token of the shop's payment provider.",
    ),
    (
        re.compile(r"unsupported (?P<name>capture)"),
        "capture_not_supported",
        "The payment gateway captures an order once, when it is confirmed.",
    ),
    (
        re.compile(r"too many decimals of (?P<name>[\w.\[\]]+): (.+)"),
        "too_many_decimals",
        "{1}",
    ),
    (
        re.compile(r"discount above 0 in (?P<name>\w+)"),
        "too_large",
        "A discount is given with a minus: at most 0.",
    ),
    (re.compile(r"below 0 without discount in (?P<name>\w+)"), "too_small", "Only a discount is below 0."),
    (re.compile(r"more than (\d) decimals"), "too_many_decimals", "Give at most {0} decimals."),
    (re.compile(r"too many decimals"), "too_many_decimals", "No currency has more than three decimals."),
    (re.compile(r"Expected `array` of length <= (\d+)"), "too_long", "Give at most {0} of these."),
    (re.compile(r"Expected `array` of length >= 1$"), "too_short", "Give at least one of these."),
    (re.compile(r"Expected `array` of length >= (\d+)"), "too_short", "Give at least {0} of these."),
    (re.compile(r"Expected `object` of length <= (\d+)"), "too_long", "Give at most {0} of these."),
    (re.compile(r"Expected `\w+` of length <= (\d+)"), "too_long", "Use at most {0} characters."),
    (re.compile(r"Expected `\w+` of length >= 1$"), "too_short", "This must not be empty."),
    (re.compile(r"Expected `\w+` of length >= (\d+)"), "too_short", "Use at least {0} characters."),
    (re.compile(r"Expected `\w+` <= ([\d.]+)"), "too_large", "This must be at most {0}."),
    (re.compile(r"Expected `\w+` >= (-?[\d.]+)"), "too_small", "This must be at least {0}."),
    (re.compile(r"Expected `([\w |]+)`, got `(\w+)`"), "wrong_type", "This must be {0}, not {1}."),
]
BY_PATTERN = re.compile(r"Expected `str` matching regex '(.+)'")
# Of names and values in an object the field is the object: their names are the client's.
PLACED = re.compile(r"(.*) - at `(?:key` in `)?\$(.*?)(?:\[\.\.\.\].*)?`", re.DOTALL)
JSON_NAMES = {
    "int": "a whole number",
    "number": "a number",
    "bool": "true or false",
    "str": "text",
    "decimal": "a fraction",
    "float": "a fraction",
    "dict": "an object",
    "object": "an object",
    "list": "a list",
    "array": "a list",
}
OTHER_FORMAT = "This does not have the right format."
_formats: dict[str, str] = {}


def explain_pattern(pattern: str, sentence: str) -> str:
    """Register the sentence for texts that do not match a pattern; return the pattern."""
    _formats[pattern] = sentence
    return pattern


def placed(complaint: str) -> tuple[str, str]:
    """Split a complaint of msgspec's into the complaint itself and its path, which may be empty."""
    match = PLACED.fullmatch(complaint)
    return (match[1], match[2]) if match else (complaint, "")


def detail_of(complaint: str, path: str) -> Detail:
    for pattern, code, sentence in COMPLAINTS:
        if match := pattern.match(complaint):
            name = match.groupdict().get("name", "")[:80]
            field = f"{path}.{name}" if path and name else path or name
            return Detail(code, sentence.format(*map(_for_people, match.groups())), field)
    if match := BY_PATTERN.match(complaint):
        escaped = match.group(1)
        return Detail("wrong_format", _formats.get(escaped.replace("\\\\", "\\"), OTHER_FORMAT), path)
    return Detail("invalid", "This value is not allowed.", path)


def _for_people(words: str) -> str:
    return " or ".join(JSON_NAMES.get(word, word) for word in words.split(" | "))
