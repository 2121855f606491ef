"""Request bodies of orders."""

import hashlib
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, ClassVar

import msgspec
from django.conf import settings
from msgspec import Meta

from api.complaints import explain_pattern
from api.idempotency import KEY
from api.parsers import parsed
from api.prices import Price, read_price
from api.requests import (
    LARGEST_ID,
    Body,
    CountryCode,
    CurrencyCode,
    Email,
    Id,
    Text,
    check_currency,
    check_email,
    complaints_of,
    country_code,
    decimals_complaints,
    read,
)
from orders.http.line_bodies import NewAdjustment, Properties
from orders.http.payment_means import Capture, PaymentMeans, gateway_name, impossible_capture
from orders.placing.pricing import MAX_QUANTITY, NewOrder, WantedLine

KEY_PATTERN = explain_pattern(f"^{KEY.pattern}$", "A key has 1 to 200 printable ASCII characters.")


ExternalReference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="The shop's own reference, of one order of the account.",
        examples=["web-2026-1001"],
    ),
]
Metadata = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=40)],
        Annotated[str, Meta(max_length=500)],
    ],
    Meta(max_length=50, description="The shop's own facts: names and texts."),
]

Language = Annotated[
    str,
    Meta(
        max_length=35,
        pattern=explain_pattern(
            "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", "This is no BCP 47 tag, such as de or en-GB."
        ),
        description="Of mails and the customer's page: BCP 47, `en` or `de` with any region; by default the shop's.",
        examples=["de"],
    ),
]

# Forms send empty lines; they are left out.
AddressLine = Annotated[str, Meta(max_length=100)]


class NewLine(Body, kw_only=True):
    """A line of a new order. The product is named by `productId`, `sku` or `productName`."""

    at_least_one_of: ClassVar[tuple[str, ...]] = ("productId", "sku", "productName")

    product_id: Id | None = None
    sku: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    product_name: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
    price: Annotated[Price, Meta(description="Compared with the catalogue's price, never used.")] | None = (
        None
    )
    unit_price: (
        Annotated[
            Price,
            Meta(description="Replaces the catalogue's price. Needs the permission `price_order`."),
        ]
        | None
    ) = None
    properties: Properties | None = None
    adjustments: (
        Annotated[
            list[NewAdjustment],
            Meta(
                max_length=20,
                description="Of this line alone, and refunded with its units. Needs `price_order`.",
            ),
        ]
        | None
    ) = None

    def complaints(self) -> Iterator[str]:
        """Yield a missing product, and two prices."""
        if self.product_id is None and self.sku is None and self.product_name is None:
            yield "missing productId"
        if self.price is not None and self.unit_price is not None:
            yield "conflict of unitPrice"


class ShippingAddress(Body):
    """Where to ship the order."""

    name: AddressLine | None = None
    line1: AddressLine | None = None
    line2: AddressLine | None = None
    city: AddressLine | None = None
    region: AddressLine | None = None
    postal_code: Annotated[str, Meta(max_length=20)] | None = None
    country: CountryCode | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.country = self.country and self.country.upper()

    def complaints(self) -> Iterator[str]:
        yield from complaints_of(country_code, self.country, field="country")

    def as_given(self) -> dict[str, str]:
        given = msgspec.to_builtins(self).items()
        return {name: value for name, value in given if value and value.strip()}


class NewOrderRequest(Body, kw_only=True):
    """A new order. Give `customerId` or `customerName`, or both."""

    at_least_one_of: ClassVar[tuple[str, ...]] = ("customerId", "customerName")

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
    expected_total: Annotated[Price, Meta(description="The total as quoted; another is refused.")] | None = (
        None
    )
    external_reference: ExternalReference | None = None
    metadata: Metadata | None = None
    language: Language | None = None
    adjustments: (
        Annotated[
            list[NewAdjustment],
            Meta(max_length=50, description="Tax, discounts, fees, tips and shipping. Needs `price_order`."),
        ]
        | None
    ) = None

    capture: Capture | None = None

    def complaints(self) -> Iterator[str]:
        """Yield a missing customer or payment, an unknown currency, an impossible address."""
        if not _customer(self):
            yield "missing customerName"
        if self.payment is None and not settings.DEFAULT_PAYMENT_TOKEN:
            yield "missing payment"
        yield from impossible_capture(self.payment, self.capture)
        yield from complaints_of(check_currency, self.currency, field="currency")
        yield from _impossible_prices(self)
        yield from complaints_of(check_email, self.email, field="email")

    def fingerprint(self) -> bytes:
        """Return a hash that identifies the request."""
        # Without them, the same as before there were such fields: keys outlive releases.
        body = CANONICAL.encode(self)
        for absent in ABSENT_LATER_FIELDS:
            body = body.replace(absent, b"")
        return hashlib.sha256(type(self).__name__.encode() + body).digest()

    def as_new_order(self, *, owner_id: int) -> NewOrder:
        address, currency = self.shipping_address, self.currency or settings.CURRENCY
        return NewOrder(
            owner_id=owner_id,
            customer_id="" if self.customer_id is None else str(self.customer_id),
            customer_name=_customer(self),
            email=self.email or "",
            lines=[
                WantedLine(
                    line.quantity,
                    line.product_id,
                    line.sku,
                    line.product_name,
                    line.price,
                    line.unit_price,
                    line.properties or None,
                    [each.as_adjustment(currency) for each in line.adjustments or ()],
                )
                for line in self.items
            ],
            currency=currency,
            shipping_address=address.as_given() if address else {},
            country=(address and address.country) or settings.DEFAULT_COUNTRY,
            payment_token=(self.payment and self.payment.token) or settings.DEFAULT_PAYMENT_TOKEN,
            payment_gateway=gateway_name(self.payment, self.capture),
            hold=self.hold,
            expected_total=self.expected_total,
            external_reference=self.external_reference or "",
            metadata=self.metadata,
            language=self.language or "",
            adjustments=[each.as_adjustment(currency) for each in self.adjustments or ()],
            capture_later=self.capture == "later",
        )

    @property
    def given_price(self) -> str:
        """The first field that needs the permission `price_order`; empty without one."""
        for place, line in enumerate(self.items):
            if line.unit_price is not None or line.adjustments:
                return f"items[{place}].{'adjustments' if line.unit_price is None else 'unitPrice'}"
        if self.adjustments:
            return "adjustments"
        return "capture" if self.capture == "later" else ""


class QuoteRequest(NewOrderRequest, kw_only=True):
    """An order to quote: as for placing it, but customer and payment may be missing."""

    at_least_one_of: ClassVar[tuple[str, ...]] = ()

    def complaints(self) -> Iterator[str]:
        """Yield an unknown currency, impossible prices, an impossible address."""
        yield from complaints_of(check_currency, self.currency, field="currency")
        yield from _impossible_prices(self)
        yield from complaints_of(check_email, self.email, field="email")


def _impossible_prices(order: NewOrderRequest) -> Iterator[str]:
    """Yield prices with more decimals than the currency has; a body with faults may have no items."""
    currency, lines = order.currency or settings.CURRENCY, list(enumerate(order.items or []))
    adjusted = enumerate(order.adjustments or [])
    prices = [
        *((f"items[{index}].price", line.price) for index, line in lines),
        *((f"items[{index}].unitPrice", line.unit_price) for index, line in lines),
        *(
            (f"items[{index}].adjustments[{number}].amount", each.amount)
            for index, line in lines
            for number, each in enumerate(line.adjustments or [])
        ),
        *((f"adjustments[{index}].amount", each.amount) for index, each in adjusted),
        ("expectedTotal", order.expected_total),
    ]
    for field, price in prices:
        yield from decimals_complaints(price, currency, field=field)


def _customer(order: NewOrderRequest) -> str:
    """Return the name, else the id, without blanks around it."""
    customer_id = "" if order.customer_id is None else str(order.customer_id)
    return (order.customer_name or "").strip() or customer_id.strip()


class BulkOrderRequest(NewOrderRequest, kw_only=True):
    """A line of a bulk request: a new order, and the key under which it may be sent again."""

    key: Annotated[str, Meta(pattern=KEY_PATTERN)] | None = None


class Reason(Body):
    """Why an order is cancelled."""

    reason: Annotated[str, Meta(max_length=200)] = ""


def read_bulk_order(line: bytes) -> BulkOrderRequest:
    """Parse a bulk line, by msgspec alone if no other check applies: five times as fast. Raises Problem."""
    if _is_plain(line):
        try:
            order = FAST_BULK_ORDER.decode(line)
        except (msgspec.MsgspecError, ArithmeticError, ValueError):
            return read(parsed(line), BulkOrderRequest)
        # A duplicate name shows as an additional colon.
        if line.count(b":") == _names_in(order):
            return order
    return read(parsed(line), BulkOrderRequest)


def _is_plain(line: bytes) -> bool:
    """Whether a line needs no check of `api.validators` and `api.parsers`."""
    return line.isascii() and b"\\" not in line and b"\x7f" not in line and not MANY_DIGITS.search(line)


def _names_in(order: BulkOrderRequest) -> int:
    given = [
        order.key,
        order.customer_id,
        order.customer_name,
        order.email,
        order.currency,
        order.expected_total,
        order.external_reference,
        order.metadata,
        order.language,
        order.adjustments,
        order.capture,
    ]
    names = 12 - given.count(None) + order.hold  # `items` is always there
    for item in order.items:
        names += 8 - [
            item.product_id,
            item.sku,
            item.product_name,
            item.price,
            item.unit_price,
            item.properties,
            item.adjustments,
        ].count(None)
        if item.properties:
            names += len(item.properties)
        names += _names_of(item.adjustments)
    names += _names_of(order.adjustments)
    if order.shipping_address:
        names += 1 + len(order.shipping_address.as_given())
    if order.metadata:
        names += len(order.metadata)
    if order.payment:
        names += 1 + (order.payment.token is not None) + (order.payment.gateway is not None)
    return names


def _names_of(adjustments: list[NewAdjustment] | None) -> int:
    return sum(3 + each.included + (each.rate is not None) for each in adjustments or ())


ABSENT_LATER_FIELDS = (
    b',"expectedTotal":null',
    b',"externalReference":null',
    b',"metadata":null',
    b',"language":null',
    b',"gateway":null',
    b',"unitPrice":null',
    b',"properties":null',
    b',"adjustments":null',
    b',"capture":null',
)
CANONICAL = msgspec.json.Encoder(enc_hook=str)  # the hook is for prices
FAST_BULK_ORDER = msgspec.json.Decoder(BulkOrderRequest, dec_hook=read_price, float_hook=Decimal)
# A possible card number, or a number too large for any field.
MANY_DIGITS = re.compile(rb"[0-9](?:[ ./_+%-]{0,3}[0-9]){12}")
