"""Filters for the order list in the admin."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR
from django.db.models import QuerySet
from django.http import HttpRequest

from orders import queries
from orders.legs import WAITS
from orders.models import Order
from orders.operators import stuck_reasons
from orders.refunding import extent
from orders.reporting.stats import first_id_since
from orders.status import UNDER_WAY, Status
from scheduling.slots import database_now
from shipping.models import ZoneCountry


class OrderFilter(admin.SimpleListFilter):
    beside: Mapping[str, str] = {}  # other query parameters

    def offered(self) -> list[tuple[str, str]]:
        raise NotImplementedError

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        own = (self.parameter_name, PAGE_VAR)
        self.beside = {name: str(value) for name, value in request.GET.items() if name not in own}
        return self.offered()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:  # noqa: ARG002
        choice = self.value()
        return self.narrowed(queryset, choice) if choice in dict(self.offered()) else queryset


class StatusFilter(OrderFilter):
    title = parameter_name = "status"

    def offered(self) -> list[tuple[str, str]]:
        return [(status.value, status.value.capitalize()) for status in Status]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return orders.filter(journey__status=choice)


class RefundFilter(OrderFilter):
    """Filters by how much is refunded."""

    title = "refunds"
    parameter_name = "refunded"

    def offered(self) -> list[tuple[str, str]]:
        return [
            (extent.RefundState.PARTLY.value, "Partly refunded"),
            (extent.RefundState.REFUNDED.value, "Refunded"),
        ]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return extent.narrowed(orders, choice)


class AttentionFilter(OrderFilter):
    title = parameter_name = "attention"

    def offered(self) -> list[tuple[str, str]]:
        return [("needed", "Needs attention")]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:  # noqa: ARG002
        # Not `exclude`: its outer join bypasses the partial index.
        return orders.filter(journey__attention__gt="")


class WaitingFilter(OrderFilter):
    """Filters by what the order waits for."""

    title = "waiting on"
    parameter_name = "waiting"

    def offered(self) -> list[tuple[str, str]]:
        return [(code, f"{wait.words[0].upper()}{wait.words[1:]}") for code, wait in WAITS.items()]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        # Only orders in flight wait: the status enables the partial index.
        return orders.filter(journey__status__in=UNDER_WAY, journey__waiting_for=choice)


class CauseFilter(OrderFilter):
    """Filters by stuck reason; linked from the start page only."""

    title = "cause"
    parameter_name = "cause"

    def offered(self) -> list[tuple[str, str]]:
        cause = self.value()
        return [(cause, stuck_reasons.title(cause).capitalize())] if cause else []

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return stuck_reasons.kept_by(choice, orders)


class CanaryFilter(OrderFilter):
    """Hides canaries unless requested."""

    title = "test orders"
    parameter_name = "whose"

    def offered(self) -> list[tuple[str, str]]:
        return [("canaries", "Test orders only"), ("everybody", "Include test orders")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:  # noqa: ARG002
        match self.value():
            case "everybody":
                return queryset
            case "canaries":
                return queryset.filter(owner_id=queries.canary_owner_id() or 0)
            case _:
                return queries.without_canaries(queryset)


class CountryFilter(OrderFilter):
    title = parameter_name = "country"
    template = "admin/orders/order/choice_filter.html"

    def offered(self) -> list[tuple[str, str]]:
        return [(country, country) for country in ZoneCountry.objects.values_list("country", flat=True)]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return orders.filter(country=choice)


class PlacedFilter(OrderFilter):
    title = parameter_name = "placed"
    spans = {
        "hour": ("Last hour", timedelta(hours=1)),
        "day": ("Last 24 hours", timedelta(days=1)),
        "week": ("Last 7 days", timedelta(days=7)),
        "month": ("Last 30 days", timedelta(days=30)),
    }

    def offered(self) -> list[tuple[str, str]]:
        return [(name, text) for name, (text, _) in self.spans.items()]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        _, span = self.spans[choice]
        return orders.filter(pk__gte=first_id_since(database_now() - span))
