"""Request bodies: structs are validation and API schema in one."""

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from email_validator import EmailNotValidError, validate_email
from msgspec import Meta

from api.problems import Problem
from iso.countries import COUNTRIES
from iso.currencies import DECIMALS

LARGEST_ID = 2**63 - 1
LARGEST_PRICE = Decimal("9999999999.99")

Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Text = Annotated[str, Meta(min_length=1, max_length=100)]
Email = Annotated[str, Meta(max_length=254, extra_json_schema={"format": "email"})]
CurrencyCode = Annotated[
    str, Meta(description="ISO 4217.", examples=["USD"], extra_json_schema={"enum": sorted(DECIMALS)})
]
CountryCode = Annotated[
    str,
    Meta(
        description="ISO 3166; small letters will do.",
        examples=["DE"],
        extra_json_schema={"enum": sorted(COUNTRIES)},
    ),
]


class Price(Decimal):
    """A price: a JSON number with at most two decimals."""


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A request body."""

    # Names on the wire of which at least one is required.
    at_least_one_of: ClassVar[tuple[str, ...]] = ()


class Nothing(Body):
    """An empty or absent body."""


def country_code(text: str, *, field: str) -> str:
    """Return a country code in capitals. Raises ValueError."""
    code = text.upper()
    if code not in COUNTRIES:
        raise ValueError(f"unknown country {field}")
    return code


def check_currency(code: str, *, field: str) -> None:
    """Raise ValueError unless this is a currency code."""
    if code not in DECIMALS:
        raise ValueError(f"unknown currency {field}")


# Fast path: the library is slow.
PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+){0,8}@(?:[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,60}\.){1,5}[a-z]{2,20}"
)
LONGEST_LOCAL_PART = 64


def check_email(text: str, *, field: str) -> None:
    """Raise ValueError for an address that mail cannot reach."""
    if PLAIN_EMAIL.fullmatch(text) and text.index("@") <= LONGEST_LOCAL_PART:
        return
    try:
        # Internal domains are valid, so no DNS; without a dot it is a typo.
        found = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        raise ValueError(f"impossible email {field}") from None
    if "." not in found.domain:
        raise ValueError(f"impossible email {field}")


BodyType = TypeVar("BodyType", bound=Body)

# msgspec's messages as stable codes and sentences without Python's type names.
COMPLAINTS: list[tuple[re.Pattern[str], str, str]] = [
    (
        re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL),
        "unknown_field",
        "Unknown field.",
    ),
    (re.compile(r"Object missing required field `(?P<name>\w+)`"), "required", "This field is required."),
    (
        re.compile(r"conflict of (?P<name>\w+)"),
        "conflicting_fields",
        "Give this field or the others, not both.",
    ),
    (re.compile(r"missing (?P<name>\w+)"), "required", "This field is required."),
    (re.compile(r"unknown country (?P<name>\w+)"), "unknown_country", "No ISO 3166 code, such as DE or GB."),
    (re.compile(r"unknown currency (?P<name>\w+)"), "unknown_currency", "No ISO 4217 code, such as USD."),
    (re.compile(r"impossible email (?P<name>\w+)"), "wrong_format", "Not a deliverable address."),
    (
        re.compile(r"impossible payment (?P<name>\w+)"),
        "wrong_format",
        "Not a token of the shop's payment provider.",
    ),
    (
        re.compile(r"too many decimals of (?P<name>\w+)"),
        "too_many_decimals",
        "More decimals than the currency has.",
    ),
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
    """Convert a parsed body to a struct. Raises Problem."""
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
    return Problem("invalid", "Invalid value.", field=path)


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
