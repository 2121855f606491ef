"""Request bodies: structs are validation and API schema in one."""

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from email_validator import EmailNotValidError, validate_email
from msgspec import Meta

from api.body_faults import faults_of
from api.complaints import detail_of, placed
from api.prices import read_price
from api.problems import Detail, Problem
from iso.countries import COUNTRIES
from iso.currencies import DECIMALS, decimals_rule, has_decimals_for

LARGEST_ID = 2**63 - 1

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


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A request body."""

    # Names on the wire of which at least one is required.
    at_least_one_of: ClassVar[tuple[str, ...]] = ()
    # Narrower schemas by name, each with its own keywords by field: together they are all that is accepted.
    variants: ClassVar[Mapping[str, Mapping[str, dict[str, Any]]]] = {}

    def __post_init__(self) -> None:
        for complaint in self.complaints():
            raise ValueError(complaint)

    def complaints(self) -> Iterator[str]:
        """Yield what rules across fields refuse, for `api.complaints`. May use fields only, no methods."""
        yield from ()


class Nothing(Body):
    """An empty or absent body."""


def complaints_of(check: Callable[..., object], value: str | None, *, field: str) -> Iterator[str]:
    """Yield the message of a check that fails; None is not checked."""
    try:
        if value is not None:
            check(value, field=field)
    except ValueError as error:
        yield str(error)


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


def decimals_complaints(amount: Decimal | None, currency: str, *, field: str) -> Iterator[str]:
    """Yield a complaint about an amount with more decimals than its currency has; None is not checked."""
    if amount is not None and not has_decimals_for(amount, currency):
        yield f"too many decimals of {field}: {decimals_rule(currency)}"


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


def read(body: Any, kind: type[BodyType]) -> BodyType:
    """Convert a parsed body to a struct. Raises Problem: the first fault, with all of them in its details."""
    try:
        return msgspec.convert(dict(body) if isinstance(body, dict) else body, kind, dec_hook=read_price)
    except msgspec.ValidationError as error:
        complaint, path = placed(str(error))
        first = detail_of(complaint, path.lstrip("."))
    raise _problem(first, faults_of(body, kind))


def _problem(first: Detail, faults: list[Detail]) -> Problem:
    first = next((each for each in faults if (each.code, each.field) == (first.code, first.field)), first)
    details = (first, *(each for each in faults if each is not first))
    return Problem(first.code, first.message, field=first.field, details=details)
