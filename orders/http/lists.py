"""Lists of orders beside the one with all filters."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.pagination import PAGE_PARAMETERS, newest_first
from api.permissions import user_of
from api.schema import refusals
from database import replica
from orders import queries
from orders.http import responses as serializers
from orders.http.filters import by_customer_name
from orders.http.offers import viewer_of
from orders.http.responses import OrderPage
from orders.refunding.extent import annotated
from orders.status import Status

BAD_PAGE = refusals(_400="invalid_parameter unknown_parameter control_characters card_number_refused")


@replica.may_be_late
def page_of(request: Request, orders: Any) -> Response:
    """Answer with the requested page of orders."""
    rows, following = newest_first(request, annotated(orders))
    return Response(serializers.order_page(rows, following=following, viewer=viewer_of(user_of(request))))


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
