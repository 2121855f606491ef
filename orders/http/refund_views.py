"""/api/orders/<reference>/refunds: refund a part of an order, and list its refunds."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from msgspec import Meta
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.idempotency import answer_once
from api.permissions import user_of
from api.prices import Price, read_price
from api.requests import Body, Id, read
from api.responses import Answer
from api.schema import IDEMPOTENCY_KEY, REFERENCE, refusals
from iso.currencies import rounded
from orders import queries
from orders.http.archived import also_archived
from orders.legs import PAYMENT
from orders.models import Credit, Order
from orders.operators.refunding import note_refund
from orders.permissions import Operator
from orders.placing.pricing import MAX_QUANTITY
from orders.refunding import crediting, parts
from orders.refunding.amounts import Place, PlannedLine, Standing, Wish
from orders.status import Status
from payments import ledger
from payments.balance import Balance, balance

MAX_REASON = 200


class RefundItem(Body, kw_only=True):
    """Units of a line of the order, named by `line`, or by `productId` or `sku` of its product."""

    at_least_one_of = ("productId", "sku", "line")

    product_id: Id | None = None
    sku: Annotated[str, Meta(min_length=1, max_length=40)] | None = None
    line: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=100,
                description="As in `items` of the order. Needed for one of several of a product.",
            ),
        ]
        | None
    ) = None
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]

    def complaints(self) -> Iterator[str]:
        """Yield a missing name, and a line beside another name."""
        if self.product_id is None and self.sku is None and self.line is None:
            yield "missing productId"
        if self.line is not None and not (self.product_id is None and self.sku is None):
            yield "conflict of line"

    def as_name(self) -> int | str | Place:
        if self.line is not None:
            return Place(self.line)
        return self.sku if self.sku is not None else self.product_id or 0


class RefundRequest(Body, kw_only=True):
    """What to refund: units and shipping, or an amount."""

    at_least_one_of = ("items", "shipping", "amount")

    items: Annotated[list[RefundItem], Meta(min_length=1, max_length=100)] | None = None
    shipping: (
        Annotated[bool | Decimal, Meta(description="An amount, or true: all that is left of it.")] | None
    ) = None
    amount: Annotated[Price, Meta(description="Instead of items and shipping.")] | None = None
    reason: Annotated[str, Meta(max_length=MAX_REASON)] = ""
    restock: Annotated[bool, Meta(description="Put the units of the items back to stock.")] = False
    dry_run: Annotated[bool, Meta(description="Refund nothing; return what it would come to.")] = False

    def complaints(self) -> Iterator[str]:
        """Yield parts beside an amount or neither, restocking without items, an impossible amount of shipping."""
        has_parts = self.items is not None or self.shipping not in (None, False)
        if self.amount is None and not has_parts:
            yield "missing amount"
        if self.amount is not None and has_parts:
            yield "conflict of amount"
        if self.restock and self.items is None:
            yield "missing items"
        if isinstance(self.shipping, Decimal):
            yield from _impossible(self.shipping)

    def as_wish(self) -> Wish:
        return Wish(
            items=[(item.as_name(), item.quantity) for item in self.items or []],
            shipping=self.shipping or False,
            amount=self.amount,
            reason=self.reason,
            restock=self.restock,
        )


def _impossible(amount: Decimal) -> Iterator[str]:
    try:
        read_price(Price, amount)
    except ValueError as error:
        yield f"{error} - at `$.shipping`"  # as msgspec names a field


class RefundedItem(Answer):
    """Units of a line, and what they come to with their share of adjustments."""

    product_id: int
    quantity: int
    amount: Decimal
    line: Annotated[int, Meta(description="As in `items` of the order.")]


class Refund(Answer, kw_only=True):
    """A refund of a part of an order."""

    number: Annotated[int | None, Meta(description="From 1; null in a dry run.")]
    state: Annotated[
        str, Meta(extra_json_schema={"enum": [*Credit.State.values, "dry_run"]}, examples=["requested"])
    ]
    amount: Decimal
    currency: str
    items: list[RefundedItem]
    shipping_amount: Decimal
    reason: str
    restock: bool
    left: Annotated[Decimal, Meta(description="What may still be refunded after it.")]
    requested_at: datetime | None


class RefundEntry(Answer, kw_only=True):
    """A refund of a part of an order, in the list."""

    number: int
    state: Annotated[str, Meta(extra_json_schema={"enum": Credit.State.values})]
    amount: Decimal
    currency: str
    items: list[RefundedItem]
    shipping_amount: Decimal
    reason: str
    restock: bool
    requested_at: datetime


class RefundList(Answer, kw_only=True):
    """An order's money: sums over its payment transactions, and its refunds of parts."""

    currency: str
    captured: Decimal
    refunded: Annotated[Decimal, Meta(description="Includes what a cancellation refunded.")]
    pending: Annotated[Decimal, Meta(description="Sent to the provider; the outcome is unknown yet.")]
    owed: Annotated[
        Decimal,
        Meta(
            description="What the shop may keep: the order's total without refunds, or what is"
            " captured of it once its authorization has expired."
        ),
    ]
    left: Annotated[Decimal, Meta(description="What may still be refunded.")]
    results: list[RefundEntry]


class Refunds(APIView):
    """Refunds of an order."""

    operation = "refund"

    def get_permissions(self) -> list[Any]:
        """Owners read, operators refund."""
        return [IsAuthenticated(), *([Operator()] if self.request.method == "POST" else [])]

    @extend_schema(
        tags=["orders"],
        operation_id="list_refunds",
        summary="List an order's refunds, and what is captured, refunded and left",
        parameters=[REFERENCE],
        responses={200: RefundList},
    )
    def get(self, request: Request, reference: str) -> Response:
        """List an order's refunds."""
        return Response(_listed(queries.by_reference(user_of(request), reference)))

    @extend_schema(
        tags=["orders"],
        operation_id="refund_part",
        summary="Refund units, shipping or an amount of a confirmed or completed order (staff)",
        description=(
            "The order keeps its status. Units come to their share of what was paid for the line: its amount with its"
            " own adjustments, and its share of the order's tax and discounts; what is included does not count. It is"
            " rounded so that any sequence of refunds adds up. `shipping` has the order's adjustments of that kind; its"
            " fees and tips are refunded by `amount`. Without an"
            " Idempotency-Key a repeated request is a second refund."
            " An order in the archive is restored first."
        ),
        request=RefundRequest,
        parameters=[REFERENCE, IDEMPOTENCY_KEY],
        responses={
            200: OpenApiResponse(Refund, description="What a dry run comes to."),
            202: OpenApiResponse(Refund, description="Accepted; it is sent to the provider within moments."),
        }
        | refusals(
            _400="malformed_json required unknown_field wrong_type too_long too_small too_large too_short"
            " too_many_decimals control_characters card_number_refused conflicting_fields not_ordered"
            " several_lines nothing_to_refund invalid_idempotency_key",
            _409="more_than_left not_possible in_progress",
            _422="idempotency_key_reused",
        ),
    )
    def post(self, request: Request, reference: str) -> Response:
        """Refund a part of an order."""
        return answer_once(request, lambda: also_archived(request, lambda: self._refund(request, reference)))

    def _refund(self, request: Request, reference: str) -> Response:
        order = queries.by_reference(user_of(request), reference)
        self.check_object_permissions(request, order)
        wanted = read(request.data, RefundRequest)
        if wanted.dry_run:
            return Response(_preview(order, wanted.as_wish()))
        user_id = user_of(request).pk
        credit = parts.refund_part(order_id=order.pk, wish=wanted.as_wish(), requested_by=user_id)
        if user_of(request).is_staff:
            note_refund(order, credit, user_id=user_id)
        standing = crediting.standing_of(order, list(order.credits.all()))
        facts = _facts(credit, standing) | {"left": standing.left}
        return Response(Refund(**facts), status=status.HTTP_202_ACCEPTED)


def _preview(order: Order, wish: Wish) -> Refund:
    found, standing = parts.preview(order, wish)
    return Refund(
        number=None,
        state="dry_run",
        amount=found.amount,
        currency=standing.currency,
        items=_items(found.lines, standing),
        shipping_amount=found.shipping_amount,
        reason=wish.reason,
        restock=wish.restock,
        left=standing.left - found.amount,
        requested_at=None,
    )


def _facts(credit: Credit, standing: Standing) -> dict[str, Any]:
    return {
        "number": credit.number,
        "state": str(credit.state),
        "amount": rounded(credit.amount, standing.currency),
        "currency": standing.currency,
        "items": _items([PlannedLine(*line) for line in credit.lines], standing),
        "shipping_amount": rounded(credit.shipping_amount, standing.currency),
        "reason": credit.reason,
        "restock": credit.restock,
        "requested_at": credit.requested_at,
    }


def _items(lines: Sequence[PlannedLine], standing: Standing) -> list[RefundedItem]:
    places = {item.key: place for place, item in enumerate(standing.items, start=1)}
    return [
        RefundedItem(
            product_id=line.product_id,
            quantity=line.units,
            amount=rounded(Decimal(line.amount), standing.currency),
            line=places[line.product_id, line.number],
        )
        for line in lines
    ]


def _listed(order: Order) -> RefundList:
    granted = list(order.credits.all())
    standing = crediting.standing_of(order, granted)
    sums = balance(ledger.entries_of([order.pk]).get(order.pk, []))
    return RefundList(
        currency=order.currency,
        captured=rounded(sums.captured, order.currency),
        refunded=rounded(sums.refunded, order.currency),
        pending=rounded(sums.pending, order.currency),
        owed=rounded(_owed(order, standing, sums), order.currency),
        left=rounded(
            standing.left if order.journey.status in parts.REFUNDABLE else sums.left, order.currency
        ),
        results=[RefundEntry(**_facts(credit, standing)) for credit in granted],
    )


def _owed(order: Order, standing: Standing, sums: Balance) -> Decimal:
    match order.journey.status:
        case Status.CONFIRMED | Status.COMPLETED if order.journey.payment == PAYMENT.EXPIRED:
            return standing.left
        case Status.CONFIRMED | Status.COMPLETED:
            return order.total_amount - (sums.captured - standing.left)
        case Status.PENDING | Status.PROCESSING:
            return order.total_amount
    return Decimal(0)
