"""Order views: each makes one call into the domain."""

from collections.abc import Callable
from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

import faults
from api.idempotency import answer_once
from api.pagination import PAGE_PARAMETERS, address, whole
from api.permissions import user_of
from api.problems import Problem
from api.renderers import ENCODER
from api.requests import Nothing, read
from api.schema import IDEMPOTENCY_KEY, REFERENCE, refusals
from api.validators import check_text
from orders import commands, journal, queries
from orders.http import responses as serializers
from orders.http.archived import also_archived
from orders.http.etags import check_precondition, etag_of, is_not_modified
from orders.http.examples import BY_PRODUCT_ID, BY_PRODUCT_NAME, WITH_ADJUSTMENTS
from orders.http.filters import FILTER_PARAMETERS, apply_filters
from orders.http.lists import BAD_PAGE, page_of
from orders.http.offers import viewer_of
from orders.http.placing import place
from orders.http.requests import NewOrderRequest, Reason
from orders.http.responses import EventPage, OrderDetail, OrderPage, Why
from orders.models import Journey, Order
from orders.operators.actions import note
from orders.operators.explain import explain
from orders.permissions import (
    Operator,
    OperatorOrDemoOwner,
    OwnerOrOperator,
    ReadsExplanations,
    sees_all_orders,
)
from orders.status import Status
from payments.models import Transaction

MAX_EVENTS = 1000
LARGEST_SEQUENCE = 2**31 - 1
MAX_REASON = 200

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="Run it only if the order still has this ETag."
)
REASON = OpenApiParameter("reason", {"type": "string", "maxLength": MAX_REASON}, description="Why.")
DETAIL = OpenApiResponse(OrderDetail, description="The order as it is now.")


class Orders(APIView):
    """Place an order, or list orders."""

    read_cost = 3

    @extend_schema(
        tags=["orders"],
        operation_id="create_order",
        summary="Place an order",
        description=(
            "Stores the order and answers at once; stock, shipping and payment follow. A `price` is compared"
            " with the catalogue's and never used; an `expectedTotal` with what `POST /api/orders/quote` answers."
            " While `totalIsFinal` is false, `estimatedTotalAmount` is what will be charged at current rates."
            " Lines of the same product are merged, unless they differ in `properties` or `unitPrice` or have"
            " `adjustments`. A caller with the permission `price_order` may give unit prices and `adjustments`: the"
            " total is lines, adjustments that are not included, and shipping. One order of an account has an"
            " `externalReference`: another"
            " is refused with `reference_taken`."
            " An order for units that unpaid orders hold waits for them. An account whose payments are mostly"
            " declined is throttled: 429 with `Retry-After`."
        ),
        request=NewOrderRequest,
        parameters=[IDEMPOTENCY_KEY],
        examples=[BY_PRODUCT_ID, BY_PRODUCT_NAME, WITH_ADJUSTMENTS],
        responses={201: OpenApiResponse(OrderDetail, description="Stored, at the URL in `Location`.")}
        | refusals(
            _400="malformed_json required unknown_field wrong_type wrong_format too_short too_long too_small"
            " too_large too_many_decimals control_characters card_number_refused unknown_product"
            " wrong_currency unknown_country unknown_currency unknown_gateway invalid_idempotency_key"
            " conflicting_fields discount_too_large capture_not_supported",
            _403="permission_denied",
            _409="price_changed total_changed reference_taken in_progress too_many_held_orders",
            _422="idempotency_key_reused",
            _429="throttled too_many_declines too_many_unpaid_orders",
        ),
    )
    def post(self, request: Request) -> Response:
        """Place an order."""
        response = place(request)
        faults.point("post.after_commit")
        return response

    @extend_schema(
        tags=["orders"],
        operation_id="list_orders",
        summary="List orders, the newest first",
        parameters=[*FILTER_PARAMETERS, *PAGE_PARAMETERS],
        responses={200: OrderPage} | BAD_PAGE,
    )
    def get(self, request: Request) -> Response:
        """List visible orders."""
        return page_of(request, apply_filters(queries.visible_to(user_of(request)), request))


class OneOrder(APIView):
    """One order."""

    @extend_schema(
        tags=["orders"],
        operation_id="get_order",
        summary="Get an order",
        parameters=[
            REFERENCE,
            OpenApiParameter(
                "If-None-Match", str, OpenApiParameter.HEADER, description="ETag of the client's copy."
            ),
        ],
        responses={200: DETAIL, 304: OpenApiResponse(description="Not modified.")},
    )
    def get(self, request: Request, reference: str) -> Response:
        """Get an order by reference."""
        response = answer_with(queries.by_reference(user_of(request), reference), request)
        if is_not_modified(request, response["ETag"]):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers={"ETag": response["ETag"]})
        return response


class OrderEvents(APIView):
    """Events of an order."""

    @extend_schema(
        tags=["orders"],
        operation_id="list_order_events",
        summary="List an order's events, oldest first",
        parameters=[
            REFERENCE,
            OpenApiParameter(
                "after",
                {"type": "integer", "minimum": 0, "maximum": LARGEST_SEQUENCE, "default": 0},
                description="Only events after this sequence.",
            ),
        ],
        responses={200: EventPage} | refusals(_400="invalid_parameter"),
    )
    def get(self, request: Request, reference: str) -> Response:
        """List an order's events after a sequence."""
        after = whole(request, "after", default=0, at_least=0, at_most=LARGEST_SEQUENCE)
        user = user_of(request)
        order = queries.by_reference(user, reference)
        events = journal.events_of(order.pk, after=after, limit=MAX_EVENTS)
        staff = sees_all_orders(user)
        full = len(events) == MAX_EVENTS
        return Response(
            EventPage(
                next=address(request, after=events[-1].sequence) if full else None,
                results=[serializers.event(row, staff=staff) for row in events],
            )
        )


class OrderExplanation(APIView):
    """Explanation of an order's state."""

    read_cost = 3
    permission_classes = [IsAuthenticated, ReadsExplanations]

    @extend_schema(
        tags=["orders"],
        operation_id="explain_order",
        summary="Explain what an order waits for, since when, why, and what to do about it (staff)",
        parameters=[REFERENCE],
        responses={200: Why},
    )
    def get(self, request: Request, reference: str) -> Response:
        """Explain an order."""
        order = queries.by_reference(user_of(request), reference)
        self.check_object_permissions(request, order)
        return Response(serializers.why(explain(order)))


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
    "Cancel an order, also a completed or archived one, and refund it (staff)",
    later="Refund in progress.",
    body=Reason,
    codes="not_possible",
)
class RefundOrder(OrderCommand):
    """Refunds an order, also a completed one."""

    operation = "refund"
    permission_classes = [IsAuthenticated, Operator]

    def _run(self, request: Request, reference: str) -> Response:
        return also_archived(request, lambda: super(RefundOrder, self)._run(request, reference))

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


def answer_with(order: Order, request: Request, code: int = status.HTTP_200_OK) -> Response:
    body = serializers.detail(
        order,
        lines=order.lines.all(),
        transactions=list(Transaction.objects.filter(order_id=order.pk).order_by("started_at", "number")),
        viewer=viewer_of(user_of(request)),
        completed_at=queries.completion_times([order]).get(order.pk),
    )
    return Response(body, status=code, headers={"ETag": etag_of(body.version, ENCODER.encode(body))})


def _reason(request: Request) -> str:
    in_body = read(request.data, Reason).reason
    reason: str = request.query_params.get("reason", in_body)
    check_text(reason, field="reason")
    if len(reason) > MAX_REASON:
        raise Problem("too_long", f"At most {MAX_REASON} long.", field="reason")
    return reason
