"""The inventory API: products, stock, and adjustments by staff."""

from dataclasses import asdict
from typing import Any, ClassVar

from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db import IntegrityError, transaction
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from kombu.exceptions import OperationalError
from rest_framework import status
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer, ValidationError
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from api.idempotency import answer_once
from api.schema import IDEMPOTENCY_KEY
from inventory import listing, naming
from inventory.listing_cache import forget_listings
from inventory.models import Product, StockChange, StockItem
from inventory.serializers import (
    AdjustmentSerializer,
    ChangePage,
    ChangeSerializer,
    ListingParameters,
    PageParameters,
    ProductFields,
    ProductPage,
    ProductSerializer,
    StaffProductSerializer,
    SyncAsked,
    SyncParameters,
    SyncResult,
    checked,
    filled,
    parameters,
)
from inventory.sync import sync_stock
from inventory.tasks import ask_for_sync
from scheduling.slots import database_now

TAGS = ["inventory"]


def refusal(codes: str) -> OpenApiResponse:
    described = " · ".join(f"`{code}`" for code in codes.split())
    return OpenApiResponse({"$ref": "#/components/schemas/Error"}, description=described)


BAD_PARAMETER = refusal("invalid_parameter")
BAD_ADJUSTMENT = refusal(
    "required wrong_type unknown_field too_short too_long too_small too_large zero control_characters malformed_json"
)
BAD_PRODUCT = refusal(
    "required wrong_type unknown_field too_short too_long too_small too_large too_many_decimals already_there"
    " not_addressable unknown_currency control_characters malformed_json"
)
REFERENCE = OpenApiParameter("reference", str, OpenApiParameter.PATH, description="The product's id or SKU.")


class QueueUnavailable(Exception):
    """The broker accepts no message now; retry later."""


class MayAdjustStock(BasePermission):
    """Staff with permission to change stock."""

    message = "Only staff who may change stock may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002
        return bool(request.user.is_staff and request.user.has_perm("inventory.change_stockitem"))


class MayChangeProducts(BasePermission):
    """Reading is open; writing needs staff with the permission."""

    message = "Only staff who may add or change products may do this."
    needed: ClassVar = {"POST": "inventory.add_product", "PATCH": "inventory.change_product"}

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002
        permission = self.needed.get(str(request.method))
        return permission is None or bool(request.user.is_staff and request.user.has_perm(permission))


class MaySeeChanges(BasePermission):
    """Staff with permission to see adjustments."""

    message = "Only staff who may see stock changes may do this."

    def has_permission(self, request: Request, view: APIView) -> bool:  # noqa: ARG002
        return bool(request.user.is_staff and request.user.has_perm("inventory.view_stockchange"))


class ProductsView(APIView):
    """`/api/inventory`"""

    read_cost = 2
    permission_classes = [IsAuthenticated, MayChangeProducts]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_list",
        summary="List products with available units",
        parameters=[ListingParameters],
        responses={200: ProductPage, 400: BAD_PARAMETER},
    )
    def get(self, request: Request) -> Response:
        """List products with available units; staff see all stock figures."""
        wanted = parameters(ListingParameters, request.query_params)
        filters = listing.Filters(
            search=wanted["search"],
            category=wanted["category"],
            in_stock=wanted["inStock"],
            runs_low=wanted["runsLow"],
            retired_too=_is_staff(request),
        )
        products, following = listing.list_products(filters=filters, page=_page(wanted))
        return Response(_answer(request, _shape(request)(products, many=True).data, following))

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_add",
        summary="Add a product without stock (staff)",
        request=ProductFields,
        responses={201: StaffProductSerializer, 400: BAD_PRODUCT},
    )
    def post(self, request: Request) -> Response:
        """Add a product without stock (staff)."""
        product = _write(request, ProductFields(data=request.data), ADDITION)
        return Response(StaffProductSerializer(product).data, status=status.HTTP_201_CREATED)


class ProductView(APIView):
    """`/api/inventory/{id or SKU}`"""

    permission_classes = [IsAuthenticated, MayChangeProducts]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_read",
        summary="Get a product with its available units",
        parameters=[REFERENCE],
        responses=StaffProductSerializer,
    )
    def get(self, request: Request, reference: str) -> Response:
        """Return a product with its available units."""
        product = listing.find_product(reference=reference, retired_too=_is_staff(request))
        return Response(_shape(request)(product).data)

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_change",
        summary="Change a product: name, price, retirement, reorder level (staff)",
        parameters=[REFERENCE],
        request=ProductFields(partial=True),
        responses={200: StaffProductSerializer, 400: BAD_PRODUCT},
    )
    def patch(self, request: Request, reference: str) -> Response:
        """Update a product, retire it (`active`), or set its reorder level (staff).

        Placed orders keep their price.
        """
        product = listing.find_product(reference=reference, retired_too=True)
        written = _write(request, ProductFields(product, data=request.data, partial=True), CHANGE)
        return Response(StaffProductSerializer(written).data)


class AdjustView(APIView):
    """`/api/inventory/{id or SKU}/adjust`"""

    permission_classes = [IsAuthenticated, MayAdjustStock]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_adjust",
        summary="Adjust a product's stock by a difference (staff)",
        parameters=[REFERENCE, IDEMPOTENCY_KEY],
        request=AdjustmentSerializer,
        responses={200: ChangeSerializer, 400: BAD_ADJUSTMENT, 409: refusal("not_enough_free")},
    )
    def post(self, request: Request, reference: str) -> Response:
        """Adjust a product's stock by a difference. Reserved units cannot be removed."""
        return answer_once(request, lambda: self._adjust(request, reference))

    def _adjust(self, request: Request, reference: str) -> Response:
        product = listing.find_product(reference=reference, retired_too=True)
        wanted = checked(AdjustmentSerializer, request.data)
        with transaction.atomic():
            StockItem.objects.open_stock(product_ids=[product.pk])
            change = StockItem.objects.adjust(
                product_id=product.pk,
                by=wanted["by"],
                reason=wanted["reason"],
                made_by=request.user.get_username(),
                source=StockChange.Source.STAFF,
            )
        return Response(ChangeSerializer(change).data)


class ChangesView(APIView):
    """`/api/inventory/{id or SKU}/changes`"""

    permission_classes = [IsAuthenticated, MaySeeChanges]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_changes",
        summary="List a product's stock adjustments, latest first (staff)",
        parameters=[REFERENCE, PageParameters],
        responses={200: ChangePage, 400: BAD_PARAMETER},
    )
    def get(self, request: Request, reference: str) -> Response:
        """List a product's stock adjustments, by staff and by the inventory sync, latest first."""
        product = listing.find_product(reference=reference, retired_too=True)
        page = _page(parameters(PageParameters, request.query_params))
        changes, following = listing.list_changes(product_id=product.pk, page=page)
        return Response(_answer(request, ChangeSerializer(changes, many=True).data, following))


class SyncView(APIView):
    """`/api/inventory/sync`"""

    permission_classes = [IsAuthenticated, MayAdjustStock]

    @extend_schema(
        tags=TAGS,
        operation_id="inventory_sync",
        summary="Sync stock with the warehouse, queued or now (staff)",
        parameters=[SyncParameters],
        request=None,
        responses={200: SyncResult, 202: SyncAsked, 400: BAD_PARAMETER},
    )
    def post(self, request: Request) -> Response:
        """Sync stock with the warehouse: queued (202), or now (`wait`)."""
        if parameters(SyncParameters, request.query_params)["wait"]:
            result = asdict(sync_stock(now=database_now()))
            return Response(result | {"stopped": result["stopped"] or None})
        try:
            ask_for_sync()
        except OperationalError as error:
            raise QueueUnavailable from error
        return Response({"status": "queued"}, status=status.HTTP_202_ACCEPTED)


def _write(request: Request, serializer: ProductFields, flag: int) -> Product:
    level = filled(serializer).get("reorderLevel")
    serializer.validated_data.pop("reorderLevel", None)
    try:
        return _save(request, serializer, flag, level)
    except IntegrityError as error:
        if (field := naming.taken_field(error)) is None:
            raise
        raise ValidationError({field: [naming.TAKEN]}, code="unique") from None


def _save(request: Request, serializer: ProductFields, flag: int, level: int | None) -> Product:
    with transaction.atomic():
        product: Product = serializer.save()
        StockItem.objects.open_stock(product_ids=[product.pk])
        if level is not None:
            StockItem.objects.set_reorder_level(product_id=product.pk, level=level)
        products = Product.objects.filter(pk=product.pk)
        LogEntry.objects.log_actions(
            int(request.user.pk or 0),
            products,
            flag,
            change_message=f"Over the API: {', '.join(request.data)}.",
        )
        forget_listings()
    return listing.find_product(reference=str(product.pk), retired_too=True)


def _is_staff(request: Request) -> bool:
    return bool(request.user.is_staff and request.user.has_perm("inventory.view_product"))


def _shape(request: Request) -> type[Serializer]:
    return StaffProductSerializer if _is_staff(request) else ProductSerializer


def _page(wanted: dict[str, Any]) -> listing.Page:
    return listing.Page(after=wanted["cursor"], size=wanted["pageSize"])


def _answer(request: Request, results: Any, following: int | None) -> dict[str, Any]:
    here = request.build_absolute_uri()
    return {"next": following and replace_query_param(here, "cursor", following), "results": results}
