"""POST /api/orders/<reference>/paid: record a payment that arrived by hand."""

from decimal import Decimal
from typing import Annotated

from drf_spectacular.utils import OpenApiResponse, extend_schema
from msgspec import Meta
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.permissions import user_of
from api.prices import Price
from api.problems import Problem
from api.requests import Body, read
from api.responses import Answer
from api.schema import REFERENCE, refusals
from orders import queries
from orders.http.archived import also_archived
from orders.permissions import Operator
from orders.refunding import receipts
from payments.receipts import ReferenceReused


class PaidRequest(Body, kw_only=True):
    """An amount that arrived, or was paid back."""

    amount: Price
    reference: Annotated[
        str,
        Meta(min_length=1, max_length=100, description="Of the bank or receipt: each counts once."),
    ]
    paid_back: Annotated[bool, Meta(description="It left: a part of the surplus is paid back.")] = False


class PaidBody(Answer, kw_only=True):
    """What has arrived for an order."""

    received: Decimal
    paid_back: Decimal
    missing: Annotated[Decimal | None, Meta(description="Null until shipping is priced.")]
    surplus: Annotated[
        Decimal,
        Meta(description="Pay it back by hand, and record that."),
    ]
    currency: str


class Paid(APIView):
    """Records payments of the gateway `manual`."""

    permission_classes = [IsAuthenticated, Operator]

    @extend_schema(
        tags=["orders"],
        operation_id="record_payment",
        summary="Record a payment that arrived or was paid back by hand, for an order of the gateway manual (staff)",
        description="A repeat with the same reference counts once. With the whole total the order goes on.",
        request=PaidRequest,
        parameters=[REFERENCE],
        responses={200: OpenApiResponse(PaidBody)}
        | refusals(
            _400="malformed_json required unknown_field wrong_type too_long too_short too_small too_large"
            " too_many_decimals control_characters card_number_refused",
            _409="not_possible more_than_left",
            _422="idempotency_key_reused",
        ),
    )
    def post(self, request: Request, reference: str) -> Response:
        """Record a payment."""
        return also_archived(request, lambda: self._record(request, reference))

    def _record(self, request: Request, reference: str) -> Response:
        order = queries.by_reference(user_of(request), reference)
        self.check_object_permissions(request, order)
        paid = read(request.data, PaidRequest)
        movement = receipts.Movement(paid.amount, paid.reference, paid.paid_back)
        try:
            receipt = receipts.record_payment(order=order, movement=movement, recorded_by=user_of(request).pk)
        except ReferenceReused:
            message = "This reference is known with another amount."
            code = status.HTTP_422_UNPROCESSABLE_ENTITY
            raise Problem("idempotency_key_reused", message, field="reference", status_code=code) from None
        return Response(PaidBody(**receipt._asdict(), currency=order.currency))
