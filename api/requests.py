"""Bodies that come in, as structs: each is validation and API schema in one.

Names are camelCase on the wire. Unknown fields are refused.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta

from api.problems import Problem

LARGEST_ID = 2**63 - 1
LARGEST_PRICE = Decimal("9999999999.99")

Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Text = Annotated[str, Meta(min_length=1, max_length=100)]
Email = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
CountryCode = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]


class Price(Decimal):
    """A price as the customer was shown it: a JSON number with at most two decimals."""


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A body that a client sends."""

    # Fields, by their names on the wire, of which at least one has to be given.
    at_least_one_of: ClassVar[tuple[str, ...]] = ()


class Nothing(Body):
    """A body without any field; it may be left out."""


BodyType = TypeVar("BodyType", bound=Body)

# What msgspec says is wrong, as a stable code and a sentence without Python's names for things.
COMPLAINTS: list[tuple[re.Pattern[str], str, str]] = [
    (
        re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL),
        "unknown_field",
        "Unknown field.",
    ),
    (re.compile(r"Object missing required field `(?P<name>\w+)`"), "required", "This field is required."),
    (re.compile(r"missing (?P<name>\w+)"), "required", "This field is required."),
    (re.compile(r"too many decimals"), "too_many_decimals", "At most two decimals."),
    (re.compile(r"Expected `\w+` of length <= (\d+)"), "too_long", "At most {0} long."),
    (re.compile(r"Expected `\w+` of length >= (\d+)"), "too_short", "At least {0} long."),
    (re.compile(r"Expected `\w+` <= (\d+)"), "too_large", "At most {0}."),
    (re.compile(r"Expected `\w+` >= (\d+)"), "too_small", "At least {0}."),
    (re.compile(r"Expected `str` matching regex '(.+)'"), "wrong_format", "Must match {0}."),
    (re.compile(r"Expected `([\w |]+)`, got `(\w+)`"), "wrong_type", "Expected {0}, not {1}."),
]
JSON_NAMES = {
    "int": "integer",
    "bool": "boolean",
    "str": "string",
    "decimal": "fraction",
    "float": "fraction",
    "dict": "object",
    "list": "array",
}


def read(body: Any, kind: type[BodyType]) -> BodyType:
    """Return a parsed body as the request it is meant to be; Problem with code and field if it is none."""
    try:
        return msgspec.convert(dict(body) if isinstance(body, dict) else body, kind, dec_hook=read_price)
    except msgspec.ValidationError as error:
        complaint, _, path = str(error).rpartition(" - at `$")
        raise _problem(complaint or str(error), path.rstrip("`").lstrip(".") if complaint else "") from None


def _problem(complaint: str, path: str) -> Problem:
    for pattern, code, sentence in COMPLAINTS:
        if match := pattern.match(complaint):
            name = match.groupdict().get("name", "")[:80]
            field = f"{path}.{name}" if path and name else path or name
            facts = [" | ".join(JSON_NAMES.get(w, w) for w in words.split(" | ")) for words in match.groups()]
            return Problem(code, sentence.format(*facts), field=field)
    return Problem("invalid", "This is not what is expected here.", field=path)


def read_price(kind: type, value: Any) -> Any:
    if kind is not Price:
        raise NotImplementedError(kind)
    if not isinstance(value, Decimal | int) or isinstance(value, bool):
        raise ValueError(f"Expected `number`, got `{type(value).__name__}`")
    if not 0 <= value <= LARGEST_PRICE:
        raise ValueError(f"Expected `number` {'>= 0' if value < 0 else '<= 9999999999'}")
    price = Price(round(Decimal(value), 2))
    if price != value:
        raise ValueError("too many decimals")
    return price
