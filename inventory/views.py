"""The inventory API: what there is, how much of it, and the corrections that staff make."""

from dataclasses import asdict
from typing import Any

from django.db import transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from kombu.exceptions import OperationalError
from rest_framework import status
from rest_framework.permissions import BasePermission, IsAdminUser, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from inventory import listing, stock
from inventory.models import StockChange
from inventory.serializers import (
    AdjustmentSerializer,
    ChangePage,
    ChangeSerializer,
    ListingParameters,
    PageParameters,
    ProductPage,
    ProductSerializer,
    StaffProductSerializer,
    SyncAsked,
    SyncParameters,
    SyncResult,
    checked,
)
from inventory.sync import sync_stock
from inventory.tasks import ask_for_sync
from scheduling.slots import database_now

TAGS = ["inventory"]


def refusal(codes: str) -> OpenApiResponse:
    """Return how the API's description tells of a refusal, with the codes it may carry."""
    described = " · ".join(f"`{code}`" for code in codes.split())
    return OpenApiResponse({"$ref": "#/components/schemas/Error"}, description=described)


BAD_PARAMETER = refusal("invalid max_value min_value max_length null_characters_not_allowed")
BAD_ADJUSTMENT = refusal("required null invalid blank zero max_value min_value max_length malformed_json")
REFERENCE = OpenApiParameter("reference", str, OpenApiParameter.PATH, description="The product's id or SKU.")


class QueueUnavailable(Exception):
    """The broker takes no message now; the request can be repeated later."""


class MayAdjustStock(BasePermission):
    """Staff with the permission to change stock."""

    message = "Only staff who may change stock may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002
        """Whether this user may correct units."""
        return bool(request.user.is_staff and request.user.has_perm("inventory.change_stockitem"))


class ProductsView(APIView):
    """`/api/inventory`"""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_list",
        parameters=[ListingParameters],
        responses={200: ProductPage, 400: BAD_PARAMETER},
    )
    def get(self, request: Request) -> Response:
        """List products, each with the units that can be ordered now; staff also see where the others are."""
        wanted = checked(ListingParameters, request.query_params)
        filters = listing.Filters(
            search=wanted["search"],
            category=wanted["category"],
            in_stock=wanted["inStock"],
            retired_too=_is_staff(request),
        )
        products, following = listing.list_products(filters=filters, page=_page(wanted))
        return Response(_answer(request, _shape(request)(products, many=True).data, following))


class ProductView(APIView):
    """`/api/inventory/{id or SKU}`"""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        tags=TAGS, operation_id="inventory_read", parameters=[REFERENCE], responses=StaffProductSerializer
    )
    def get(self, request: Request, reference: str) -> Response:
        """Show a product with the units of it that can be ordered now."""
        product = listing.find_product(reference=reference, retired_too=_is_staff(request))
        return Response(_shape(request)(product).data)


class AdjustView(APIView):
    """`/api/inventory/{id or SKU}/adjust`"""

    permission_classes = [IsAuthenticated, MayAdjustStock]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_adjust",
        parameters=[REFERENCE],
        request=AdjustmentSerializer,
        responses={200: ChangeSerializer, 400: BAD_ADJUSTMENT, 409: refusal("not_enough_free")},
    )
    def post(self, request: Request, reference: str) -> Response:
        """Add units to a product's stock or take some. Units that orders have reserved cannot be taken."""
        product = listing.find_product(reference=reference, retired_too=True)
        wanted = checked(AdjustmentSerializer, request.data)
        with transaction.atomic():
            stock.open_stock(product_ids=[product.pk])
            change = stock.adjust(
                product_id=product.pk,
                by=wanted["by"],
                reason=wanted["reason"],
                made_by=request.user.get_username(),
                source=StockChange.Source.STAFF,
            )
        return Response(ChangeSerializer(change).data)


class ChangesView(APIView):
    """`/api/inventory/{id or SKU}/changes`"""

    permission_classes = [IsAuthenticated, IsAdminUser]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_changes",
        parameters=[REFERENCE, PageParameters],
        responses={200: ChangePage, 400: BAD_PARAMETER},
    )
    def get(self, request: Request, reference: str) -> Response:
        """List the corrections of a product's units, by staff and by the inventory sync, the latest first."""
        product = listing.find_product(reference=reference, retired_too=True)
        page = _page(checked(PageParameters, request.query_params))
        changes, following = listing.list_changes(product_id=product.pk, page=page)
        return Response(_answer(request, ChangeSerializer(changes, many=True).data, following))


class SyncView(APIView):
    """`/api/inventory/sync`"""

    permission_classes = [IsAuthenticated, MayAdjustStock]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_sync",
        parameters=[SyncParameters],
        request=None,
        responses={200: SyncResult, 202: SyncAsked, 400: BAD_PARAMETER},
    )
    def post(self, request: Request) -> Response:
        """Compare our stock with the warehouse's: a worker does it (202), or it is done now (`wait`)."""
        if checked(SyncParameters, request.query_params)["wait"]:
            return Response(asdict(sync_stock(now=database_now())))
        try:
            ask_for_sync()
        except OperationalError as error:
            raise QueueUnavailable from error
        return Response({"status": "queued"}, status=status.HTTP_202_ACCEPTED)


def _is_staff(request: Request) -> bool:
    return bool(request.user.is_staff)


def _shape(request: Request) -> type[Serializer]:
    return StaffProductSerializer if _is_staff(request) else ProductSerializer


def _page(wanted: dict[str, Any]) -> listing.Page:
    return listing.Page(after=wanted["cursor"], size=wanted["pageSize"])


def _answer(request: Request, results: Any, following: int | None) -> dict[str, Any]:
    here = request.build_absolute_uri()
    return {"next": following and replace_query_param(here, "cursor", following), "results": results}
