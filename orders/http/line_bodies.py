"""Lines and adjustments of orders, in requests and answers."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from api.prices import Amount, Rate
from api.requests import Body
from api.responses import Answer
from iso.currencies import rounded
from orders.managers import PlacedLine
from orders.models import OrderLine
from orders.rules.adjustments import Adjustment, Kind, of_line

Properties = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=40)],
        Annotated[str, Meta(max_length=200)],
    ],
    Meta(
        max_length=20,
        description="The shop's own facts of the line, such as an engraving. Lines of a product that differ in them"
        " stay apart.",
        examples=[{"engraving": "For Jane"}],
    ),
]
AMOUNT = "A discount is at most 0, all others at least 0."
INCLUDED = "Part of the prices already: shown, but not added to the total."
RATE = "A share: 0.19 for 19 %. Shown, never used to compute."


class NewAdjustment(Body, kw_only=True):
    """An amount beside the lines of a new order, or of one line, as the caller computed it. Needs `price_order`."""

    kind: Kind
    code: Annotated[str, Meta(min_length=1, max_length=40, examples=["VAT"])]
    amount: Annotated[Amount, Meta(description=AMOUNT, examples=[9.58])]
    included: Annotated[bool, Meta(description=INCLUDED)] = False
    rate: Annotated[Rate, Meta(description=RATE, examples=[0.19])] | None = None

    def complaints(self) -> Iterator[str]:
        """Yield an amount of the wrong sign."""
        if self.amount is not None and self.kind == "discount" and self.amount > 0:
            yield "discount above 0 in amount"
        if self.amount is not None and self.kind not in (None, "discount") and self.amount < 0:
            yield "below 0 without discount in amount"

    def as_adjustment(self, currency: str) -> Adjustment:
        return Adjustment(
            kind=self.kind,
            code=self.code,
            amount=rounded(Decimal(self.amount), currency),
            included=self.included,
            rate=None if self.rate is None else Decimal(self.rate).normalize(),
        )


class AdjustmentBody(Answer):
    """An amount beside an order's lines, as it was given."""

    kind: Kind
    code: Annotated[str, Meta(examples=["VAT"])]
    amount: Annotated[Decimal, Meta(description=AMOUNT, examples=[9.58])]
    included: Annotated[bool, Meta(description=INCLUDED)]
    rate: Annotated[Decimal | None, Meta(description=RATE)]


class Line(Answer):
    """A line of an order, at its price when placed."""

    line: Annotated[int, Meta(description="Its place among the order's lines, from 1. It never changes.")]
    product_id: int
    sku: str
    product_name: str
    quantity: int
    price: Decimal
    amount: Decimal
    properties: Annotated[dict[str, str], Meta(description="The shop's own facts of the line.")]
    adjustments: Annotated[list[AdjustmentBody], Meta(description="Those of this line alone.")]


def line_bodies(
    lines: Iterable[OrderLine | PlacedLine], adjustments: Sequence[Adjustment] = ()
) -> list[Line]:
    """Return the lines of an order, which come in their order, with their part of all its adjustments."""
    return [
        Line(
            line=place,
            product_id=line.product_id,
            sku=line.sku,
            product_name=line.product_name,
            quantity=line.quantity,
            price=line.unit_price,
            amount=line.amount,
            properties=dict(line.properties or {}),
            adjustments=adjustment_bodies(adjustments, place) if adjustments else [],
        )
        for place, line in enumerate(lines, start=1)
    ]


def adjustment_bodies(adjustments: Iterable[Adjustment], place: int | None = None) -> list[AdjustmentBody]:
    """Return the adjustments of the line at a place; None: those of the order as a whole."""
    return [
        AdjustmentBody(
            kind=each.kind, code=each.code, amount=each.amount, included=each.included, rate=each.rate
        )
        for each in of_line(adjustments, place)
    ]
