"""Filters of order lists. Unknown query parameters are refused."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from api.problems import Problem
from api.validators import check_text
from database.text import spellings
from orders.models import Order
from orders.refunding import extent
from orders.status import Status

STATUSES = frozenset(status.value for status in Status)
STATUS_NAMES = [status.value.capitalize() for status in Status]
REFUND_STATES = [state.value for state in extent.RefundState]

FILTER_PARAMETERS = [
    OpenApiParameter(
        "status",
        {"type": "array", "items": {"type": "string", "enum": STATUS_NAMES}},
        explode=True,
        description="Any of these, case-insensitive; may also be separated by commas.",
    ),
    OpenApiParameter("customer", OpenApiTypes.STR, description="The customer's exact name."),
    OpenApiParameter(
        "externalReference", {"type": "string", "minLength": 1}, description="The shop's own, exactly."
    ),
    OpenApiParameter(
        "refundState",
        {"type": "string", "enum": REFUND_STATES},
        description="Orders of which nothing, a part or all of what was captured is refunded.",
    ),
    OpenApiParameter(
        "placedFrom",
        OpenApiTypes.DATETIME,
        description="Placed at or after this time (ISO 8601, UTC without an offset).",
    ),
    OpenApiParameter("placedTo", OpenApiTypes.DATETIME, description="Placed before this time."),
    OpenApiParameter("createdFrom", OpenApiTypes.DATETIME, deprecated=True, description="Use `placedFrom`."),
    OpenApiParameter("createdTo", OpenApiTypes.DATETIME, deprecated=True, description="Use `placedTo`."),
]
PAGE_NAMES = {"cursor", "pageSize", "format"}


def apply_filters(orders: QuerySet[Order], request: Request) -> QuerySet[Order]:
    """Apply the query parameters. Raises Problem."""
    conditions: dict[str, Any] = {}
    for name in request.query_params:
        if name in PAGE_NAMES:
            continue
        if name not in READERS:
            raise Problem("unknown_parameter", "There is no such query parameter.", field=name[:80])
        lookup, read = READERS[name]
        if lookup in conditions:
            raise Problem("invalid_parameter", "Give this once, under one of its names.", field=name)
        conditions[lookup] = read(name, request.query_params.getlist(name))
    if "external_reference" in conditions:
        # The condition of the partial index.
        orders = orders.exclude(external_reference="")
    if (state := conditions.pop("refund_state", None)) is not None:
        orders = extent.narrowed(orders, state)
    return orders.filter(**conditions)


def by_customer_name(orders: QuerySet[Order], customer: str) -> QuerySet[Order]:
    return orders.filter(customer_name__in=_spellings("customer", [customer]))


def _statuses(name: str, values: list[str]) -> list[str]:
    wanted = [status.strip().lower() for value in values for status in value.split(",")]
    if not STATUSES.issuperset(wanted):
        raise Problem("invalid_parameter", f"One or more of {', '.join(STATUS_NAMES)}.", field=name)
    return wanted


def _spellings(name: str, values: list[str]) -> list[str]:
    check_text(_only(name, values), field=name)
    return spellings(values[0])


def _reference(name: str, values: list[str]) -> str:
    reference = _only(name, values)
    if not reference:
        raise Problem("invalid_parameter", "A reference of an order.", field=name)
    check_text(reference, field=name)
    return reference


def _refund_state(name: str, values: list[str]) -> str:
    state = _only(name, values)
    if state not in REFUND_STATES:
        raise Problem("invalid_parameter", f"One of {', '.join(REFUND_STATES)}.", field=name)
    return state


def _moment(name: str, values: list[str]) -> datetime:
    try:
        text = _only(name, values)
        text = text.upper()  # RFC 3339 has t and z, too
        # An unencoded plus sign arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Problem("invalid_parameter", "A date or time as in ISO 8601.", field=name) from None


def _only(name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise Problem("invalid_parameter", "Give this once.", field=name)
    return values[0]


READERS: dict[str, tuple[str, Any]] = {
    "status": ("journey__status__in", _statuses),
    "customer": ("customer_name__in", _spellings),
    "externalReference": ("external_reference", _reference),
    "refundState": ("refund_state", _refund_state),
    "placedFrom": ("placed_at__gte", _moment),
    "placedTo": ("placed_at__lt", _moment),
    # Deprecated:
    "createdFrom": ("placed_at__gte", _moment),
    "createdTo": ("placed_at__lt", _moment),
}
