"""/api/orders/<reference>/captures: capture a part of an order's authorized payment, and list its captures."""

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
from api.prices import Price
from api.requests import Body, read
from api.responses import Answer
from api.schema import IDEMPOTENCY_KEY, REFERENCE, refusals
from iso.currencies import rounded
from orders import queries
from orders.http.payment_bodies import ExpiresAt
from orders.models import Order
from orders.operators.capturing import note_capture
from orders.payment import captures
from orders.permissions import Operator
from orders.refunding import capturing
from payments.expiry import expires_at
from payments.models import Transaction, rank_of

MAX_REASON = 200
NOTHING = Decimal(0)


class CaptureRequest(Body, kw_only=True):
    """What to capture."""

    amount: Annotated[Price, Meta(description="By default all that is left.", examples=[25.0])] | None = None
    reason: Annotated[str, Meta(max_length=MAX_REASON)] = ""
    dry_run: Annotated[bool, Meta(description="Capture nothing; return what it would come to.")] = False


class Capture(Answer, kw_only=True):
    """A capture of a part of what is authorized."""

    number: Annotated[int | None, Meta(description="From 1; null in a dry run.")]
    state: Annotated[str, Meta(extra_json_schema={"enum": ["requested", "dry_run"]})]
    amount: Decimal
    currency: str
    reason: str
    left: Annotated[Decimal, Meta(description="What may still be captured after it.")]


class CaptureEntry(Answer, kw_only=True):
    """A capture, in the list."""

    number: int
    state: Annotated[str, Meta(extra_json_schema={"enum": Transaction.State.values})]
    amount: Decimal
    code: Annotated[str | None, Meta(description="Why it was declined, or is unknown.")]
    started_at: datetime
    finished_at: datetime | None


class CaptureList(Answer, kw_only=True):
    """What is authorized of an order and captured: sums over its payment transactions."""

    currency: str
    authorized: Decimal
    captured: Decimal
    pending: Annotated[Decimal, Meta(description="Accepted; the outcome is unknown yet.")]
    left: Annotated[Decimal, Meta(description="What no capture has taken, while it is held.")]
    authorization_expires_at: ExpiresAt
    results: list[CaptureEntry]


class Captures(APIView):
    """Captures of an order."""

    operation = "capture"

    def get_permissions(self) -> list[Any]:
        """Owners read, operators capture."""
        return [IsAuthenticated(), *([Operator()] if self.request.method == "POST" else [])]

    @extend_schema(
        tags=["orders"],
        operation_id="list_captures",
        summary="List an order's captures, and what is authorized, captured and left",
        parameters=[REFERENCE],
        responses={200: CaptureList},
    )
    def get(self, request: Request, reference: str) -> Response:
        """List an order's captures."""
        return Response(_listed(queries.by_reference(user_of(request), reference)))

    @extend_schema(
        tags=["orders"],
        operation_id="capture_part",
        summary="Capture a part of the authorized payment of a confirmed or completed order (staff)",
        description=(
            "Of an order that was placed with `capture: later`. One capture of an order is under way at a time; all"
            " together come to what is authorized at most. Without an Idempotency-Key a repeated request is a second"
            " capture. Cancelling the order refunds what is captured, and releases the rest."
        ),
        request=CaptureRequest,
        parameters=[REFERENCE, IDEMPOTENCY_KEY],
        responses={
            200: OpenApiResponse(Capture, description="What a dry run comes to."),
            202: OpenApiResponse(Capture, description="Accepted; it is sent to the provider within moments."),
        }
        | refusals(
            _400="malformed_json unknown_field wrong_type too_long too_small too_large too_many_decimals"
            " control_characters card_number_refused invalid_idempotency_key",
            _409="more_than_left not_possible authorization_expired capture_under_way in_progress",
            _422="idempotency_key_reused",
        ),
    )
    def post(self, request: Request, reference: str) -> Response:
        """Capture a part of an order's payment."""
        return answer_once(request, lambda: self._capture(request, reference))

    def _capture(self, request: Request, reference: str) -> Response:
        order = queries.by_reference(user_of(request), reference)
        self.check_object_permissions(request, order)
        wanted = read(request.data, CaptureRequest)
        amount, held = capturing.preview(order, wanted.amount)
        facts: dict[str, Any] = {
            "amount": amount,
            "currency": held.authorization.currency,
            "reason": wanted.reason,
            "left": held.left - amount,
        }
        if wanted.dry_run:
            return Response(Capture(number=None, state="dry_run", **facts))
        user_id = user_of(request).pk
        # The amount as previewed: another capture since then leaves less, which is refused.
        number = capturing.capture_part(
            order_id=order.pk, amount=amount, reason=wanted.reason, requested_by=user_id
        )
        if user_of(request).is_staff:
            note_capture(order, number, amount, wanted.reason, user_id=user_id)
        return Response(Capture(number=number, state="requested", **facts), status=status.HTTP_202_ACCEPTED)


def _listed(order: Order) -> CaptureList:
    book = list(Transaction.objects.filter(order_id=order.pk).order_by("number"))
    held = captures.standing_of(book)
    return CaptureList(
        currency=order.currency,
        authorized=rounded(held.authorization.amount if held else NOTHING, order.currency),
        captured=rounded(held.captured if held else NOTHING, order.currency),
        pending=rounded(held.pending if held else NOTHING, order.currency),
        left=rounded(held.left if held else NOTHING, order.currency),
        authorization_expires_at=expires_at(book),
        results=[_entry(row) for row in book if row.kind == Transaction.Kind.CAPTURE],
    )


def _entry(row: Transaction) -> CaptureEntry:
    return CaptureEntry(
        number=rank_of(row.number),
        state=row.state,
        amount=rounded(row.amount, row.currency),
        code=row.code or None,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
