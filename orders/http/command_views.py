"""Views that run a command on one order. Its domain is `orders.commands`."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.idempotency import answer_once
from api.permissions import user_of
from api.problems import Problem
from api.requests import Nothing, read
from api.schema import IDEMPOTENCY_KEY, REFERENCE, refusals
from api.validators import check_text
from orders import commands, queries
from orders.http.etags import check_precondition
from orders.http.requests import Reason
from orders.http.responses import OrderDetail
from orders.http.views import DETAIL, answer_with
from orders.models import Journey, Order
from orders.operators.actions import note
from orders.permissions import (
    Operator,
    OperatorOrDemoOwner,
    OwnerOrOperator,
)
from orders.status import Status

MAX_REASON = 200

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="Run it only if the order still has this ETag."
)
REASON = OpenApiParameter("reason", {"type": "string", "maxLength": MAX_REASON}, description="Why.")


class OrderCommand(APIView):
    """A command on one order."""

    operation = ""  # in `orders.operators.actions`

    def post(self, request: Request, reference: str) -> Response:
        """Run it; answer with the order."""
        return answer_once(request, lambda: self._run(request, reference))

    def _run(self, request: Request, reference: str) -> Response:
        order = queries.by_reference(user_of(request), reference)
        self.check_object_permissions(request, order)
        if "If-Match" not in request.headers:
            return self._command(request, order)
        with transaction.atomic():
            order.journey = Journey.objects.select_for_update().get(pk=order.pk)
            check_precondition(request, answer_with(order, request)["ETag"])
            return self._command(request, order)

    def _command(self, request: Request, order: Order) -> Response:
        before = order.journey.sequence
        done = self.command(request, order.pk)
        order.journey.refresh_from_db()
        if user_of(request).is_staff and order.journey.sequence > before:
            note(self.operation, order, user_id=user_of(request).pk)
        return answer_with(order, request, status.HTTP_200_OK if done else status.HTTP_202_ACCEPTED)

    def command(self, request: Request, order_id: int) -> bool:
        """Return False if in progress."""
        raise NotImplementedError


def describe_command(
    name: str, summary: str, *, later: str = "", body: type = Nothing, codes: str = ""
) -> Callable[..., Any]:
    """Describe a command's POST; `later` is the meaning of 202."""
    conflicts = f"{codes} in_progress".strip()
    responses: dict[int, Any] = {200: DETAIL} | refusals(
        _400="malformed_json unknown_field wrong_type too_long control_characters card_number_refused"
        " invalid_idempotency_key",
        _409=conflicts,
        _412="precondition_failed",
        _422="idempotency_key_reused",
    )
    if later:
        responses[202] = OpenApiResponse(OrderDetail, description=later)
    return extend_schema_view(
        post=extend_schema(
            tags=["orders"],
            operation_id=name,
            summary=summary,
            request=body,
            parameters=[REFERENCE, IDEMPOTENCY_KEY, IF_MATCH, *([REASON] if body is Reason else [])],
            responses=responses,
        )
    )


@describe_command("process_order", "Start a held order; a no-op on any other")
class ProcessOrder(OrderCommand):
    """Starts a held order."""

    operation = "process"
    permission_classes = [IsAuthenticated, OwnerOrOperator]

    def command(self, request: Request, order_id: int) -> bool:
        """Start it."""
        read(request.data, Nothing)
        commands.process_order(order_id=order_id)
        return True


@describe_command(
    "complete_order",
    "Complete an order: it was handed over",
    later="In progress: it is completed once confirmed.",
    codes="not_possible",
)
class CompleteOrder(OrderCommand):
    """Completes an order."""

    operation = "complete"
    permission_classes = [IsAuthenticated, OperatorOrDemoOwner]

    def command(self, request: Request, order_id: int) -> bool:
        """Complete it, now or once confirmed."""
        read(request.data, Nothing)
        return commands.complete_order(order_id=order_id)


@describe_command(
    "cancel_order",
    "Cancel an order; stock and payment are reversed",
    later="Cancellation in progress.",
    body=Reason,
    codes="not_possible",
)
class CancelOrder(OrderCommand):
    """Cancels an order at any stage."""

    operation = "cancel"
    permission_classes = [IsAuthenticated, OwnerOrOperator]

    def command(self, request: Request, order_id: int) -> bool:
        """Cancel it."""
        return commands.cancel_order(order_id=order_id, reason=_reason(request)) is Status.CANCELLED


@describe_command(
    "refund_order",
    "Cancel an order, also a completed one, and refund it (staff)",
    later="Refund in progress.",
    body=Reason,
    codes="not_possible",
)
class RefundOrder(OrderCommand):
    """Refunds an order, also a completed one."""

    operation = "refund"
    permission_classes = [IsAuthenticated, Operator]

    def command(self, request: Request, order_id: int) -> bool:
        """Refund it."""
        now = commands.cancel_order(order_id=order_id, reason=_reason(request), returning=True)
        return now is Status.CANCELLED


@describe_command(
    "retry_order", "Retry an order that waits or needs attention, now (staff)", codes="not_possible"
)
class RetryOrder(OrderCommand):
    """Clears attention and makes an order due."""

    operation = "retry"
    permission_classes = [IsAuthenticated, Operator]

    def command(self, request: Request, order_id: int) -> bool:
        """Retry it."""
        read(request.data, Nothing)
        commands.retry_order(order_id=order_id)
        return True


@describe_command("approve_order", "Approve what staff decide on (staff)", codes="not_possible")
class ApproveOrder(OrderCommand):
    """Lets a leg pass on which staff decide. Routed if a leg declares such a state."""

    operation = "approve"
    permission_classes = [IsAuthenticated, Operator]

    def command(self, request: Request, order_id: int) -> bool:
        """Approve it."""
        read(request.data, Nothing)
        commands.approve_order(order_id=order_id)
        return True


def _reason(request: Request) -> str:
    """Return the query's or the body's reason."""
    in_body = read(request.data, Reason).reason
    reason: str = request.query_params.get("reason", in_body)
    check_text(reason, field="reason")
    if len(reason) > MAX_REASON:
        raise Problem("too_long", f"At most {MAX_REASON} long.", field="reason")
    return reason
