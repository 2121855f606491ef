"""Views that place, list and show orders: each makes one call into the domain."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

import faults
from api.pagination import PAGE_PARAMETERS, address, newest_first, whole
from api.permissions import user_of
from api.renderers import ENCODER
from api.schema import IDEMPOTENCY_KEY, REFERENCE, refusals
from database import replica
from orders import journal, queries
from orders.http import responses as serializers
from orders.http.etags import etag_of, is_not_modified
from orders.http.examples import BY_PRODUCT_ID, BY_PRODUCT_NAME
from orders.http.filters import FILTER_PARAMETERS, apply_filters, by_customer_name
from orders.http.placing import place
from orders.http.requests import NewOrderRequest
from orders.http.responses import EventPage, OrderDetail, OrderPage, Why
from orders.models import Order
from orders.operators.explain import explain
from orders.permissions import (
    ReadsExplanations,
    sees_all_orders,
)
from orders.status import Status
from payments.models import Transaction

MAX_EVENTS = 1000
LARGEST_SEQUENCE = 2**31 - 1

BAD_PAGE = refusals(_400="invalid_parameter unknown_parameter control_characters card_number_refused")
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
            " Lines of the same product are merged."
            " An order for units that unpaid orders hold waits for them. An account whose payments are mostly"
            " declined is throttled: 429 with `Retry-After`."
        ),
        request=NewOrderRequest,
        parameters=[IDEMPOTENCY_KEY],
        examples=[BY_PRODUCT_ID, BY_PRODUCT_NAME],
        responses={201: OpenApiResponse(OrderDetail, description="Stored, at the URL in `Location`.")}
        | refusals(
            _400="malformed_json required unknown_field wrong_type wrong_format too_short too_long too_small"
            " too_large too_many_decimals control_characters card_number_refused unknown_product"
            " wrong_currency unknown_country unknown_currency invalid_idempotency_key",
            _409="price_changed total_changed in_progress too_many_held_orders",
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


@extend_schema_view(
    get=extend_schema(
        tags=["orders"],
        operation_id="list_pending_orders",
        summary="List pending orders: held, or not started yet",
        parameters=PAGE_PARAMETERS,
        responses={200: OrderPage} | BAD_PAGE,
    )
)
class PendingOrders(APIView):
    """Orders not started yet."""

    read_cost = 5

    def get(self, request: Request) -> Response:
        """List visible pending orders."""
        return page_of(request, queries.visible_to(user_of(request)).filter(journey__status=Status.PENDING))


@extend_schema_view(
    get=extend_schema(
        tags=["orders"],
        operation_id="list_orders_of_customer",
        summary="List a customer's orders, the newest first",
        parameters=[
            OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH, description="As it was given."),
            *PAGE_PARAMETERS,
        ],
        responses={200: OrderPage} | BAD_PAGE,
    )
)
class CustomerOrders(APIView):
    """Orders of customers of one name."""

    read_cost = 5

    def get(self, request: Request, name: str) -> Response:
        """List visible orders of a customer."""
        return page_of(request, by_customer_name(queries.visible_to(user_of(request)), name))


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


@replica.may_be_late
def page_of(request: Request, orders: Any) -> Response:
    """Answer with the requested page of orders."""
    rows, following = newest_first(request, orders)
    return Response(serializers.order_page(rows, following=following, staff=sees_all_orders(request.user)))


def answer_with(order: Order, request: Request, code: int = status.HTTP_200_OK) -> Response:
    """Answer with an order's detail."""
    body = serializers.detail(
        order,
        lines=order.lines.all(),
        transactions=list(Transaction.objects.filter(order_id=order.pk).order_by("started_at", "number")),
        staff=sees_all_orders(request.user),
    )
    return Response(body, status=code, headers={"ETag": etag_of(body.version, ENCODER.encode(body))})
