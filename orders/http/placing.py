"""Placing an order, and quoting one."""

from collections import Counter
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import structlog
from drf_spectacular.utils import OpenApiResponse, extend_schema
from msgspec import Meta
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.idempotency import key_of, key_problems
from api.permissions import user_of
from api.problems import Problem
from api.renderers import ENCODER
from api.requests import read
from api.responses import Answer
from api.schema import refusals
from inventory.listing import available_units
from iso.currencies import rounded
from orders.http import responses
from orders.http.etags import etag_of
from orders.http.examples import BY_PRODUCT_ID, BY_PRODUCT_NAME, WITH_ADJUSTMENTS
from orders.http.line_bodies import AdjustmentBody, Line, adjustment_bodies, line_bodies
from orders.http.line_refusals import all_lines_refused
from orders.http.offers import viewer_of
from orders.http.requests import NewOrderRequest, QuoteRequest
from orders.http.responses import OrderDetail
from orders.limits import allowances
from orders.permissions import may_price
from orders.placing import pricing, single, totals
from orders.placing.pricing import Priced
from shipping.quotes import Refusal


class QuotedLine(Line):
    """A line at the current price, and whether there is enough stock of the product now."""

    available: Annotated[int, Meta(description="Units that the next order may have.")]
    in_stock: Annotated[bool, Meta(description="Whether that is enough for all lines of the product.")]


class ShippingRefusal(Answer):
    """Why the order cannot be shipped."""

    code: str
    message: str


class QuoteBody(Answer, kw_only=True):
    """What an order would cost now. Nothing is stored or reserved."""

    items: list[QuotedLine]
    adjustments: list[AdjustmentBody]
    goods_amount: Decimal
    adjustment_amount: Annotated[
        Decimal, Meta(description="The sum of all adjustments that are not included, with those of lines.")
    ]
    shipping_amount: Annotated[Decimal | None, Meta(description="Null if the order cannot be shipped.")]
    total_amount: Annotated[
        Decimal | None, Meta(description="For `expectedTotal`; null if the order cannot be shipped.")
    ]
    currency: str
    country: str
    shipping_refusal: ShippingRefusal | None


class Quote(APIView):
    """What an order would cost."""

    @extend_schema(
        tags=["orders"],
        operation_id="quote_order",
        summary="Quote an order: lines, stock, shipping and total",
        description=(
            "Takes the body of `POST /api/orders`, also without customer and payment, and stores nothing. Send the"
            " `totalAmount` as `expectedTotal` when you place the order: another total is then refused with"
            " `total_changed`. The total charged differs from an accepted `expectedTotal` only if the shop changes its"
            " shipping rates before the order's shipping is priced, mostly within a second. Stock is not reserved."
        ),
        request=QuoteRequest,
        examples=[BY_PRODUCT_ID, BY_PRODUCT_NAME, WITH_ADJUSTMENTS],
        responses={200: OpenApiResponse(QuoteBody, description="At this moment.")}
        | refusals(
            _400="malformed_json required unknown_field wrong_type wrong_format too_short too_long too_small"
            " too_large too_many_decimals control_characters card_number_refused unknown_product"
            " wrong_currency unknown_country unknown_currency conflicting_fields discount_too_large"
            " capture_not_supported",
            _403="permission_denied",
            _409="price_changed",
        ),
    )
    def post(self, request: Request) -> Response:
        """Quote an order."""
        body = read(request.data, QuoteRequest)
        check_prices(user_of(request), body)
        wanted = body.as_new_order(owner_id=user_of(request).pk)
        wanted = msgspec.structs.replace(wanted, expected_total=None)
        with all_lines_refused(wanted):
            priced = pricing.price(wanted, pricing.Catalogue(wanted.lines))
        return Response(_quote(priced))


def _quote(priced: Priced) -> QuoteBody:
    new, lines, goods, adjusted, adjustments, _ = priced
    shipping = totals.estimate_shipping(
        country=new.country, currency=new.currency, goods=goods, weight_grams=totals.weight_of(lines)
    )
    units = available_units([line.product_id for line in lines])
    wanted: Counter[int] = Counter()
    for line in lines:
        wanted[line.product_id] += line.quantity
    refusal = shipping if isinstance(shipping, Refusal) else None
    return QuoteBody(
        items=[
            _quoted(body, units.get(body.product_id, 0), wanted[body.product_id])
            for body in line_bodies(lines, adjustments)
        ],
        adjustments=adjustment_bodies(adjustments),
        goods_amount=goods,
        adjustment_amount=rounded(adjusted, new.currency),
        shipping_amount=None if isinstance(shipping, Refusal) else shipping,
        total_amount=None if isinstance(shipping, Refusal) else goods + adjusted + shipping,
        currency=new.currency,
        country=new.country,
        shipping_refusal=ShippingRefusal(code=refusal.code, message=refusal.message) if refusal else None,
    )


def _quoted(line: Line, units: int, wanted: int) -> QuotedLine:
    return QuotedLine(**msgspec.structs.asdict(line), available=units, in_stock=units >= wanted)


def check_prices(user: Any, order: NewOrderRequest) -> None:
    """Raise Problem if an order gives prices or adjustments, and its user may not."""
    if (field := order.given_price) and not may_price(user):
        message = "This needs the permission price_order: without it the catalogue's prices hold."
        raise Problem("permission_denied", message, field=field, status_code=status.HTTP_403_FORBIDDEN)


def place(request: Request) -> Response:
    user, key = user_of(request), key_of(request)
    wanted = read(request.data, NewOrderRequest)
    check_prices(user, wanted)
    new = wanted.as_new_order(owner_id=user.pk)
    for problem in allowances.refusals(user.pk, [allowances.Candidate(new, key)]).values():
        raise problem
    with key_problems(), all_lines_refused(new):
        placed = single.place_order(new=new, key=single.Key(key, wanted.fingerprint()) if key else None)
    structlog.contextvars.bind_contextvars(order_id=placed.order_id)
    return _answer_with_placed(placed, responses.placed(placed, new=new, viewer=viewer_of(user)))


def _answer_with_placed(placed: single.Placed, detail: OrderDetail) -> Response:
    body = ENCODER.encode(detail)
    headers = {"Location": detail.links.itself, "ETag": etag_of(detail.version, body)}
    if placed.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(msgspec.Raw(body), status=status.HTTP_201_CREATED, headers=headers)
