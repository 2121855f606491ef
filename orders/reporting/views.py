"""Analytics API: JSON, and CSV for spreadsheets."""

import csv
from datetime import UTC, date, datetime, timedelta

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec.structs import astuple
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.problems import Problem
from api.renderers import ErrorsAsJSON
from api.schema import refusals
from orders.permissions import SeesAllOrders
from orders.reporting import analytics
from orders.reporting.analytics import Analytics, PeriodSales, Span, Unit
from scheduling.slots import database_now

LONGEST_DAYS: dict[Unit, int] = {"hour": 31, "day": 366}
USUAL_DAYS = 7

PARAMETERS = [
    OpenApiParameter(
        "from", OpenApiTypes.DATE, description=f"First day, UTC; {USUAL_DAYS} days ago if not given."
    ),
    OpenApiParameter("to", OpenApiTypes.DATE, description="Last day, UTC; today if not given."),
    OpenApiParameter(
        "per", OpenApiTypes.STR, enum=["day", "hour"], description="At most 366 days, or 31 days of hours."
    ),
]


class SalesAnalytics(APIView):
    """Orders, revenue, top products, rejection reasons, time to confirm."""

    read_cost = 20
    permission_classes = [SeesAllOrders]

    @extend_schema(
        tags=["orders"],
        operation_id="get_analytics",
        summary="Get orders and revenue by day or hour, top products and reasons of refusals (staff)",
        parameters=PARAMETERS,
        responses={200: Analytics} | refusals(_400="invalid_parameter", _403="permission_denied"),
    )
    def get(self, request: Request) -> Response:
        """Return the analytics for a range of days."""
        return Response(_analyse(request))


class SalesTable(APIView):
    """Orders and revenue over time, for spreadsheets."""

    read_cost = 20
    content_negotiation_class = ErrorsAsJSON
    permission_classes = [SeesAllOrders]

    @extend_schema(
        tags=["orders"],
        operation_id="get_analytics_csv",
        summary="Get orders and revenue by day or hour as CSV (staff)",
        parameters=PARAMETERS,
        responses={
            (200, "text/csv"): OpenApiResponse(
                OpenApiTypes.STR, description="A line of names, then the periods."
            )
        }
        | refusals(_400="invalid_parameter", _403="permission_denied"),
    )
    def get(self, request: Request) -> HttpResponse:
        """Return the analytics for a range of days."""
        answer = HttpResponse(
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="analytics.csv"'},
        )
        table = csv.writer(answer)
        table.writerow(PeriodSales.__struct_fields__)
        table.writerows(map(_cell, astuple(period)) for period in _analyse(request).periods)
        return answer


def _cell(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _analyse(request: Request) -> Analytics:
    unit = _unit(request)
    return analytics.analyse(_span(request, unit), unit=unit)


def _unit(request: Request) -> Unit:
    match request.query_params.get("per", "day"):
        case "day":
            return "day"
        case "hour":
            return "hour"
        case _:
            raise Problem("invalid_parameter", "Either day or hour.", field="per")


def _span(request: Request, unit: Unit) -> Span:
    last = _day(request, "to") or database_now().astimezone(UTC).date()
    first = _day(request, "from") or last - timedelta(days=USUAL_DAYS - 1)
    days = (last - first).days + 1
    if not 1 <= days <= LONGEST_DAYS[unit]:
        message = f"From 1 to {LONGEST_DAYS[unit]} days per {unit}."
        raise Problem("invalid_parameter", message, field="from")
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    return Span(start, start + timedelta(days=days))


def _day(request: Request, name: str) -> date | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Problem("invalid_parameter", "A day as in 2026-01-31.", field=name) from None
    if not 1970 < day.year < 3000:
        raise Problem("invalid_parameter", "A day of our times.", field=name)
    return day
