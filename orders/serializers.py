"""What goes over the wire about orders, as structs: each is validation, rendering and API schema in one.

Names are camelCase on the wire. Requests refuse fields they do not know: nobody can send a status or a total.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from django.conf import settings
from msgspec import UNSET, Meta, UnsetType

from orders.commands import MAX_QUANTITY, NewOrder, Placed, PlacedLine, WantedLine
from orders.explain import Explanation, Situation
from orders.idempotency import KEY
from orders.models import Order, OrderEvent, OrderLine
from orders.parsers import parsed
from orders.problems import Problem
from orders.workflow import STATUS_AFTER, EventType, Status
from payments.models import Transaction

LARGEST_ID = 2**63 - 1
DEMO_TOKEN = "tok_demo"  # noqa: S105 the name of a token, good in the sandbox only
LARGEST_PRICE = Decimal("9999999999.99")

Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Text = Annotated[str, Meta(min_length=1, max_length=100)]
Email = Annotated[str, Meta(max_length=254, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
CountryCode = Annotated[str, Meta(pattern=r"^[A-Z]{2}$")]
Token = Annotated[str, Meta(pattern=r"^tok_[A-Za-z0-9_]{1,60}$")]
StatusName = Annotated[
    str,
    Meta(
        extra_json_schema={"enum": [status.value.capitalize() for status in Status]}, examples=["Completed"]
    ),
]


class Price(Decimal):
    """A price as the customer was shown it: a JSON number with at most two decimals."""


# --- What comes in ----------------------------------------------------------------------------------------


class Request(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A body that a client sends."""


class NewLine(Request, kw_only=True):
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


class ShippingAddress(Request):
    """Where the order is to go."""

    name: Text | None = None
    line1: Text | None = None
    line2: Text | None = None
    city: Text | None = None
    region: Text | None = None
    postal_code: Annotated[str, Meta(min_length=1, max_length=20)] | None = None
    country: CountryCode | None = None

    def as_given(self) -> dict[str, str]:
        """Return the parts that were given, under their names on the wire."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if value}


class PaymentMeans(Request):
    """What to charge: a token of the payment provider, never a card number."""

    token: Token = DEMO_TOKEN


class NewOrderRequest(Request, kw_only=True):
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


class Reason(Request):
    """Why an order is called off."""

    reason: Annotated[str, Meta(max_length=200)] = ""


class Nothing(Request):
    """A body without any field; it may be left out."""


RequestType = TypeVar("RequestType", bound=Request)

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


def read(body: Any, kind: type[RequestType]) -> RequestType:
    """Return a parsed body as the request it is meant to be; Problem with code and field if it is none."""
    try:
        return msgspec.convert(dict(body) if isinstance(body, dict) else body, kind, dec_hook=_read_price)
    except msgspec.ValidationError as error:
        complaint, _, path = str(error).rpartition(" - at `$")
        raise _problem(complaint or str(error), path.rstrip("`").lstrip(".") if complaint else "") from None


def read_bulk_order(line: bytes) -> BulkOrderRequest:
    """Return a line of a bulk request; Problem with code and field if it is none.

    The same rules as for one order: `orders.parsers` and `read`. They take their time, so what cannot break
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
    """Return whether a line has nothing of what `orders.texts` and `orders.parsers` look for."""
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
MANY_DIGITS = re.compile(rb"[0-9](?:[ -]?[0-9]){12}")


# --- What goes out ----------------------------------------------------------------------------------------


class Answer(msgspec.Struct, rename="camel", kw_only=True):
    """A body that we send."""


class Line(Answer):
    """A line of an order, at the price it was placed at."""

    product_id: int
    sku: str
    product_name: str
    quantity: int
    price: Decimal
    amount: Decimal


class Legs(Answer):
    """What came of each leg of the journey; `open` until something has."""

    stock: str
    shipping: str
    payment: str


class PaymentTransaction(Answer):
    """One thing we asked the payment provider to do for the order."""

    kind: str
    state: str
    amount: Decimal
    currency: str
    code: str | None
    started_at: datetime
    finished_at: datetime | None


class Links(Answer, kw_only=True):
    """Where else to look, and what can be asked."""

    itself: str = msgspec.field(name="self")
    events: str
    process: str
    complete: str
    cancel: str


class OrderSummary(Answer, kw_only=True):
    """An order as lists show it."""

    id: int
    order_id: int
    order_number: str
    uuid: UUID
    customer_id: str
    customer_name: str
    status: StatusName
    held: bool
    progress: int
    total_amount: Annotated[
        Decimal, Meta(description="Goods and shipping; goods alone until shipping is quoted.")
    ]
    currency: str
    waiting_for: str | None
    reason: str | None
    attention: str | UnsetType | None = UNSET  # staff only
    version: int
    created_at: datetime
    completed_at: datetime | None
    finished_at: datetime | None
    links: Links


class OrderDetail(OrderSummary, kw_only=True):
    """Everything about an order."""

    email: str
    goods_amount: Decimal
    shipping_amount: Decimal | None
    shipping_address: dict[str, str]
    country: str
    items: list[Line]
    legs: Legs
    payments: list[PaymentTransaction]


class Event(Answer):
    """Something that happened to an order. Sequences of an order are gapless."""

    sequence: int
    type: str
    status: Annotated[str, Meta(description="The status it brought about.")] | None
    progress: int
    data: dict[str, Any]
    at: datetime


class Why(Answer):
    """Why an order is where it is, in words for operators."""

    situation: Annotated[str, Meta(extra_json_schema={"enum": [situation.value for situation in Situation]})]
    waiting_for: str
    since: datetime | None
    why: str
    safe_to_retry: bool
    next_action: str
    next_look: Annotated[datetime | None, Meta(description="When it goes on without anybody's doing.")]


class OrderPage(Answer):
    """Some orders, the newest first, and where the next ones are."""

    next: str | None
    results: list[OrderSummary]


class EventPage(Answer):
    """Some events of an order, the oldest first, and where the next ones are."""

    next: str | None
    results: list[Event]


class ErrorDetail(Answer, omit_defaults=True):
    """One of the things that are wrong, with the facts that help to mend it."""

    code: str
    message: str
    field: str = ""
    current: Decimal | UnsetType = UNSET
    currency: str | UnsetType = UNSET


class ErrorFacts(Answer, omit_defaults=True):
    """What is wrong. `code` is stable, `field` is the path of the field that is meant."""

    code: str
    message: str
    field: str = ""
    details: list[ErrorDetail] = []


class Error(Answer):
    """The body of every answer from 400 on."""

    error: ErrorFacts


class BulkAnswer(Answer, omit_defaults=True):
    """What came of a line of a bulk request: the order that it became, or the error."""

    line: int
    order_id: int | UnsetType = UNSET
    order_number: str | UnsetType = UNSET
    replayed: Annotated[bool, Meta(description="It was placed before, under the same key.")] = False
    error: ErrorFacts | UnsetType = UNSET


def status_name(status: str) -> str:
    """Return a status as the wire spells it: Pending, Processing, Confirmed, Completed, …"""
    return status.capitalize()


def links_of(order_id: int) -> Links:
    """Return the addresses that concern an order."""
    at = f"/api/orders/{order_id}"
    return Links(
        itself=at,
        events=f"{at}/events",
        process=f"{at}/process",
        complete=f"{at}/complete",
        cancel=f"{at}/cancel",
    )


def placed(order: Placed, *, new: NewOrder, staff: bool) -> OrderDetail:
    """Return the detail of an order that was placed just now, without asking the database again."""
    return OrderDetail(
        **_placed_facts(order, new),
        status="Pending",
        held=new.hold,
        progress=0,
        waiting_for=None,
        reason=None,
        attention=None if staff else UNSET,
        version=1,
        completed_at=None,
        finished_at=None,
        shipping_amount=None,
        legs=Legs(stock="open", shipping="open", payment="open"),
        payments=[],
    )


def _placed_facts(order: Placed, new: NewOrder) -> dict[str, Any]:
    return {
        "id": order.order_id,
        "order_id": order.order_id,
        "order_number": order.number,
        "uuid": order.uuid,
        "customer_id": new.customer_id,
        "customer_name": new.customer_name,
        "email": new.email,
        "currency": new.currency,
        "total_amount": order.goods_amount,
        "goods_amount": order.goods_amount,
        "shipping_address": new.shipping_address or {},
        "country": new.country,
        "created_at": order.placed_at,
        "items": [_line(line) for line in order.lines],
        "links": links_of(order.order_id),
    }


def summary(order: Order, *, staff: bool) -> OrderSummary:
    """Return an order as lists show it. Only staff are told why a person should look at it."""
    return OrderSummary(**_facts(order, staff=staff))


def detail(
    order: Order, *, lines: Iterable[OrderLine], transactions: Iterable[Transaction], staff: bool
) -> OrderDetail:
    """Return everything about an order that its owner, or staff, may know."""
    journey = order.journey
    return OrderDetail(
        **_facts(order, staff=staff),
        email=order.email,
        goods_amount=order.goods_amount,
        shipping_amount=journey.shipping_amount,
        shipping_address=order.shipping_address,
        country=order.country,
        items=[_line(line) for line in lines],
        legs=Legs(**{leg: getattr(journey, leg) or "open" for leg in ("stock", "shipping", "payment")}),
        payments=[_transaction(row) for row in transactions],
    )


def event(row: OrderEvent, *, staff: bool) -> Event:
    """Return an event. What is for operators' eyes, such as a traceback, stays out."""
    becomes = STATUS_AFTER.get(EventType(row.type))
    internal = row.type == EventType.ATTENTION_NEEDED
    shown = (
        {}
        if internal and not staff
        else {name: value for name, value in row.data.items() if name != "details"}
    )
    return Event(
        sequence=row.sequence,
        type=row.type,
        status=status_name(becomes) if becomes else None,
        progress=row.progress,
        data=shown,
        at=row.at,
    )


def _facts(order: Order, *, staff: bool) -> dict[str, Any]:
    journey = order.journey
    return {
        "id": order.pk,
        "order_id": order.pk,
        "order_number": order.number,
        "uuid": order.uuid,
        "customer_id": order.customer_id,
        "customer_name": order.customer_name,
        "status": status_name(journey.status),
        "held": journey.status == Status.PENDING and journey.due_at is None,
        "progress": journey.progress,
        "total_amount": order.total_amount,
        "currency": order.currency,
        "waiting_for": journey.waiting_for or None,
        "reason": journey.reason or None,
        "attention": (journey.attention or None) if staff else UNSET,
        "version": journey.sequence,
        "created_at": order.placed_at,
        "completed_at": journey.finished_at if journey.status == Status.COMPLETED else None,
        "finished_at": journey.finished_at,
        "links": links_of(order.pk),
    }


def _line(line: OrderLine | PlacedLine) -> Line:
    return Line(
        product_id=line.product_id,
        sku=line.sku,
        product_name=line.product_name,
        quantity=line.quantity,
        price=line.unit_price,
        amount=line.unit_price * line.quantity,
    )


def _transaction(row: Transaction) -> PaymentTransaction:
    return PaymentTransaction(
        kind=row.kind,
        state=row.state,
        amount=row.amount,
        currency=row.currency,
        code=row.code or None,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def order_page(orders: Sequence[Order], *, following: str | None, staff: bool) -> OrderPage:
    """Return a page of orders."""
    return OrderPage(next=following, results=[summary(order, staff=staff) for order in orders])


def why(explanation: Explanation) -> Why:
    """Return what is said of why an order is where it is."""
    return Why(
        situation=explanation.situation.value,
        waiting_for=explanation.waiting_for,
        since=explanation.since,
        why=explanation.why,
        safe_to_retry=explanation.safe_to_retry,
        next_action=explanation.next_action,
        next_look=explanation.next_look,
    )
