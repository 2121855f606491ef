"""What comes in about orders, as structs: each is validation and API schema in one.

Names are camelCase on the wire. Fields that are not known are refused: nobody can send a status or a total.
"""

import hashlib
import re
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
from django.conf import settings
from email_validator import EmailNotValidError, validate_email
from msgspec import Meta

from api.idempotency import KEY
from api.parsers import parsed
from api.problems import Problem
from iso.countries import COUNTRIES
from iso.currencies import DECIMALS
from orders.commands import MAX_QUANTITY, NewOrder, WantedLine

LARGEST_ID = 2**63 - 1
DEMO_TOKEN = "tok_demo"  # noqa: S105 the name of a token, good in the sandbox only
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
Token = Annotated[str, Meta(pattern=r"^tok_[A-Za-z0-9_]{1,60}$")]


class Price(Decimal):
    """A price as the customer was shown it: a JSON number with at most two decimals."""


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A body that a client sends."""


class NewLine(Body, kw_only=True):
    """A line of a new order. The product is named by `productId`, `sku` or `productName`."""

    product_id: Id | None = None
    sku: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    product_name: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
    price: Annotated[Price, Meta(description="Compared with the catalogue's price, never used.")] | None = (
        None
    )

    def __post_init__(self) -> None:
        if self.product_id is None and self.sku is None and self.product_name is None:
            raise ValueError("missing productId")


class ShippingAddress(Body):
    """Where the order is to go."""

    name: Text | None = None
    line1: Text | None = None
    line2: Text | None = None
    city: Text | None = None
    region: Text | None = None
    postal_code: Annotated[str, Meta(min_length=1, max_length=20)] | None = None
    country: CountryCode | None = None

    def __post_init__(self) -> None:
        if self.country is not None:
            self.country = country_code(self.country, field="country")

    def as_given(self) -> dict[str, str]:
        """Return the parts that were given, under their names on the wire."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if value}


class PaymentMeans(Body):
    """What to charge: a token of the payment provider, never a card number."""

    token: Token = DEMO_TOKEN


class NewOrderRequest(Body, kw_only=True):
    """A new order. Give `customerId` or `customerName`, or both."""

    customer_id: (
        Annotated[str, Meta(min_length=1, max_length=64)] | Annotated[int, Meta(ge=0, le=LARGEST_ID)] | None
    ) = None
    customer_name: Text | None = None
    items: Annotated[list[NewLine], Meta(min_length=1, max_length=100)]
    email: Email | None = None
    currency: CurrencyCode | None = None
    shipping_address: ShippingAddress | None = None
    payment: PaymentMeans | None = None
    hold: Annotated[bool, Meta(description="Leave it pending until it is processed.")] = False

    def __post_init__(self) -> None:
        if not self._customer():
            raise ValueError("missing customerName")
        if self.currency is not None:
            check_currency(self.currency, field="currency")
        if self.email is not None:
            check_email(self.email, field="email")

    def _customer(self) -> str:
        customer_id = "" if self.customer_id is None else str(self.customer_id)
        return (self.customer_name or "").strip() or customer_id.strip()

    def fingerprint(self) -> bytes:
        """Return what tells a repeat of this request from another one."""
        return hashlib.sha256(type(self).__name__.encode() + CANONICAL.encode(self)).digest()

    def as_new_order(self, *, owner_id: int) -> NewOrder:
        """Return the order to place for a user, with this shop's defaults where nothing was said."""
        address = self.shipping_address
        return NewOrder(
            owner_id=owner_id,
            customer_id="" if self.customer_id is None else str(self.customer_id),
            customer_name=self._customer(),
            email=self.email or "",
            lines=[
                WantedLine(line.quantity, line.product_id, line.sku, line.product_name, line.price)
                for line in self.items
            ],
            currency=self.currency or settings.CURRENCY,
            shipping_address=address.as_given() if address else {},
            country=(address and address.country) or settings.DEFAULT_COUNTRY,
            payment_token=self.payment.token if self.payment else DEMO_TOKEN,
            hold=self.hold,
        )


class BulkOrderRequest(NewOrderRequest, kw_only=True):
    """A line of a bulk request: a new order, and the key under which it may be sent again."""

    key: Annotated[str, Meta(pattern=f"^{KEY.pattern}$")] | None = None


class Reason(Body):
    """Why an order is called off."""

    reason: Annotated[str, Meta(max_length=200)] = ""


class Nothing(Body):
    """A body without any field; it may be left out."""


def country_code(text: str, *, field: str) -> str:
    """Return the code of a country in capitals. Raises ValueError, from which `read` makes a Problem."""
    code = text.upper()
    if code not in COUNTRIES:
        raise ValueError(f"unknown country {field}")
    return code


def check_currency(code: str, *, field: str) -> None:
    """Raise ValueError, from which `read` makes a Problem, unless this is the code of a currency."""
    if code not in DECIMALS:
        raise ValueError(f"unknown currency {field}")


# Nearly all addresses there are; what is odder takes the library its time.
PLAIN_EMAIL = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+){0,8}@(?:[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,60}\.){1,5}[a-z]{2,20}"
)
LONGEST_LOCAL_PART = 64


def check_email(text: str, *, field: str) -> None:
    """Raise ValueError, from which `read` makes a Problem, for an address that no mail could ever reach."""
    if PLAIN_EMAIL.fullmatch(text) and text.index("@") <= LONGEST_LOCAL_PART:
        return
    try:
        # A company's own names are fine, so the domain is not asked for; it has a dot, as all that are not typos.
        found = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError:
        raise ValueError(f"impossible email {field}") from None
    if "." not in found.domain:
        raise ValueError(f"impossible email {field}")


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
    (re.compile(r"unknown country (?P<name>\w+)"), "unknown_country", "No ISO 3166 code, such as DE or GB."),
    (re.compile(r"unknown currency (?P<name>\w+)"), "unknown_currency", "No ISO 4217 code, such as USD."),
    (re.compile(r"impossible email (?P<name>\w+)"), "wrong_format", "No mail can reach this address."),
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
    """Return a parsed body as the request it is meant to be; Problem with code and field if it is none."""
    try:
        return msgspec.convert(dict(body) if isinstance(body, dict) else body, kind, dec_hook=_read_price)
    except msgspec.ValidationError as error:
        complaint, _, path = str(error).rpartition(" - at `$")
        raise _problem(complaint or str(error), path.rstrip("`").lstrip(".") if complaint else "") from None


def read_bulk_order(line: bytes) -> BulkOrderRequest:
    """Return a line of a bulk request; Problem with code and field if it is none.

    The same rules as for one order: `api.parsers` and `read`. They take their time, so what cannot break
    any that msgspec does not know is left to msgspec alone, which is five times as fast.
    """
    if _is_plain(line):
        try:
            order = FAST_BULK_ORDER.decode(line)
        except (msgspec.MsgspecError, ArithmeticError, ValueError):
            return read(parsed(line), BulkOrderRequest)
        # Each name brings a colon, so that a name given twice brings one more than there are fields.
        if line.count(b":") == _names_in(order):
            return order
    return read(parsed(line), BulkOrderRequest)


def _is_plain(line: bytes) -> bool:
    """Return whether a line has nothing of what `api.validators` and `api.parsers` look for."""
    return line.isascii() and b"\\" not in line and b"\x7f" not in line and not MANY_DIGITS.search(line)


def _names_in(order: BulkOrderRequest) -> int:
    """Return how many names a line has at least, if it is this order."""
    given = [order.key, order.customer_id, order.customer_name, order.email, order.currency]
    names = 6 - given.count(None) + order.hold  # `items` is always there
    for item in order.items:
        names += 5 - [item.product_id, item.sku, item.product_name, item.price].count(None)
    if order.shipping_address:
        names += 1 + len(order.shipping_address.as_given())
    if order.payment:
        names += 1 + (order.payment.token != DEMO_TOKEN)
    return names


def _problem(complaint: str, path: str) -> Problem:
    for pattern, code, sentence in COMPLAINTS:
        if match := pattern.match(complaint):
            name = match.groupdict().get("name", "")[:80]
            field = f"{path}.{name}" if path and name else path or name
            facts = [" | ".join(JSON_NAMES.get(w, w) for w in words.split(" | ")) for words in match.groups()]
            return Problem(code, sentence.format(*facts), field=field)
    return Problem("invalid", "This is not what is expected here.", field=path)


def _read_price(kind: type, value: Any) -> Any:
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


CANONICAL = msgspec.json.Encoder(enc_hook=str)  # the hook is for prices
FAST_BULK_ORDER = msgspec.json.Decoder(BulkOrderRequest, dec_hook=_read_price, float_hook=Decimal)
# Thirteen digits, perhaps in groups: what could be a card number, or a number that no field takes.
MANY_DIGITS = re.compile(rb"[0-9](?:[ ./_+%-]{0,3}[0-9]){12}")
