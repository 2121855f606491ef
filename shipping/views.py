"""Staff API of shipping zones and rates."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.db import IntegrityError, transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import Meta
from rest_framework import status
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.permissions import FORBIDDEN, user_of
from api.prices import Price
from api.problems import Problem
from api.requests import (
    LARGEST_ID,
    Body,
    CountryCode,
    CurrencyCode,
    check_currency,
    complaints_of,
    country_code,
    decimals_complaints,
    read,
)
from api.responses import Answer
from api.schema import refusals
from api.validators import check_text
from iso.currencies import rounded
from shipping.models import Rate, Zone, ZoneCountry
from shipping.quotes import forget_price_lists

HEAVIEST = 2**31 - 1
WRITES = {"POST": "add", "PUT": "change", "DELETE": "delete"}
BAD_ZONE = refusals(
    _400="malformed_json required unknown_field wrong_type wrong_format too_short too_long too_small too_large"
    " too_many_decimals control_characters unknown_country unknown_currency",
    _409="already_there",
)
TAKEN = {
    "shipping_zone": ("name", "Another zone has this name."),
    "shipping_zonecountry": ("countries", "Another zone has one of these countries, or one comes twice."),
    "shipping_rate": ("rates", "A weight comes twice in one currency."),
}
ID = OpenApiParameter("zone_id", OpenApiTypes.INT64, OpenApiParameter.PATH)


class MayChangeTariff(BasePermission):
    """Staff who may see zones; writing needs all permissions."""

    message = "Only staff who may change zones, rates and countries may do this."

    def has_permission(self, request: Request, view: object) -> bool:  # noqa: ARG002 - DRF's signature
        verb = WRITES.get(str(request.method))
        codes = [f"shipping.{verb}_{of}" for of in ("zone", "rate", "zonecountry")] if verb else []
        return bool(request.user.is_staff and request.user.has_perms(codes or ["shipping.view_zone"]))


class RateBody(Body, kw_only=True):
    """The price of a parcel up to a weight."""

    max_weight_grams: Annotated[int, Meta(ge=1, le=HEAVIEST)]
    price: Price
    currency: CurrencyCode = "USD"
    free_from: Annotated[Price, Meta(description="Goods worth this much or more ship free.")] | None = None

    def complaints(self) -> Iterator[str]:
        yield from complaints_of(check_currency, self.currency, field="currency")
        for field, amount in (("price", self.price), ("freeFrom", self.free_from)):
            yield from decimals_complaints(amount, self.currency, field=field)


class ZoneBody(Body, kw_only=True):
    """A zone with its countries and rates."""

    name: Annotated[str, Meta(min_length=1, max_length=60)]
    countries: Annotated[list[CountryCode], Meta(max_length=300)]
    rates: Annotated[list[RateBody], Meta(max_length=200)]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.countries = [code.upper() for code in self.countries]

    def complaints(self) -> Iterator[str]:
        for code in self.countries or ():
            yield from complaints_of(country_code, code, field="countries")


class RateShown(Answer):
    """The price of a parcel up to a weight."""

    max_weight_grams: int
    price: Decimal
    currency: str
    free_from: Decimal | None


class ZoneShown(Answer):
    """A zone with its countries and rates."""

    id: int
    name: str
    countries: list[str]
    rates: list[RateShown]


class ZonesShown(Answer):
    """All zones."""

    results: list[ZoneShown]


class Zones(APIView):
    """Shipping zones."""

    permission_classes = [MayChangeTariff]

    @extend_schema(
        tags=["shipping"],
        operation_id="list_zones",
        summary="List the zones that the shop delivers to, with countries and rates (staff)",
        responses={200: ZonesShown} | FORBIDDEN,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - the same for all
        """List zones."""
        zones = Zone.objects.prefetch_related("countries", "rates")
        return Response(ZonesShown(results=[_shown(zone) for zone in zones]))

    @extend_schema(
        tags=["shipping"],
        operation_id="add_zone",
        summary="Add a zone (staff)",
        request=ZoneBody,
        responses={201: ZoneShown} | BAD_ZONE | FORBIDDEN,
    )
    def post(self, request: Request) -> Response:
        """Add a zone."""
        zone = _write(request, Zone(), ADDITION)
        return Response(_shown(zone), status=status.HTTP_201_CREATED)


class OneZone(APIView):
    """One zone."""

    permission_classes = [MayChangeTariff]

    @extend_schema(
        tags=["shipping"],
        operation_id="replace_zone",
        summary="Replace a zone's name, countries and rates (staff)",
        parameters=[ID],
        request=ZoneBody,
        responses={200: ZoneShown} | BAD_ZONE | FORBIDDEN | refusals(_404="not_found"),
    )
    def put(self, request: Request, zone_id: int) -> Response:
        """Replace a zone. Quoted orders keep their price."""
        return Response(_shown(_write(request, _zone(zone_id), CHANGE)))

    @extend_schema(
        tags=["shipping"],
        operation_id="delete_zone",
        summary="Deliver to a zone no more (staff)",
        parameters=[ID],
        responses={204: OpenApiResponse(description="Gone.")} | FORBIDDEN | refusals(_404="not_found"),
    )
    def delete(self, request: Request, zone_id: int) -> Response:
        """Delete it with its countries and rates."""
        zone = _zone(zone_id)
        with transaction.atomic():
            _note(request, zone, DELETION)
            zone.delete()
        forget_price_lists()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _zone(zone_id: int) -> Zone:
    zone = Zone.objects.filter(pk=min(zone_id, LARGEST_ID)).first()
    if zone is None:
        raise Problem("not_found", "There is no such zone.", status_code=404)
    return zone


def _write(request: Request, zone: Zone, flag: int) -> Zone:
    """Raises Problem if invalid or in conflict with another zone."""
    wanted = read(request.data, ZoneBody)
    check_text(wanted.name, field="name")
    try:
        with transaction.atomic():
            zone.name = wanted.name
            zone.save()
            zone.countries.all().delete()
            zone.rates.all().delete()
            ZoneCountry.objects.bulk_create(ZoneCountry(country=c, zone=zone) for c in wanted.countries)
            Rate.objects.bulk_create(_rate(zone, rate) for rate in wanted.rates)
            _note(request, zone, flag)
    except IntegrityError as error:
        field, message = _taken(error)
        raise Problem("already_there", message, field=field, status_code=409) from None
    forget_price_lists()
    return zone


def _taken(error: IntegrityError) -> tuple[str, str]:
    """Return the field of a unique conflict, by the table that it is in, and a sentence."""
    diagnostics = getattr(error.__cause__, "diag", None)
    return TAKEN.get(getattr(diagnostics, "table_name", None) or "", TAKEN["shipping_zone"])


def _note(request: Request, zone: Zone, flag: int) -> None:
    zones = Zone.objects.filter(pk=zone.pk)
    LogEntry.objects.log_actions(user_of(request).pk, zones, flag, change_message="Over the API.")


def _rate(zone: Zone, rate: RateBody) -> Rate:
    return Rate(
        zone=zone,
        max_weight_grams=rate.max_weight_grams,
        price=rounded(rate.price, rate.currency),
        currency=rate.currency,
        free_from=None if rate.free_from is None else rounded(rate.free_from, rate.currency),
    )


def _shown(zone: Zone) -> ZoneShown:
    return ZoneShown(
        id=zone.pk,
        name=zone.name,
        countries=[country.country for country in zone.countries.all()],
        rates=[
            RateShown(
                max_weight_grams=rate.max_weight_grams,
                price=rounded(rate.price, rate.currency),
                currency=rate.currency,
                free_from=None if rate.free_from is None else rounded(rate.free_from, rate.currency),
            )
            for rate in zone.rates.all()
        ],
    )
