"""What the list of orders on the desk can be narrowed down by."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR
from django.db.models import QuerySet
from django.http import HttpRequest

from orders import canary_account
from orders.models import Order
from orders.operators import stuck_reasons
from orders.reporting.stats import first_id_since
from orders.wording import WAITS
from orders.workflow import UNDER_WAY, Status
from scheduling.slots import database_now
from shipping.models import ZoneCountry


class OrderFilter(admin.SimpleListFilter):
    """A filter that offers some choices, and narrows the list when one is made."""

    beside: Mapping[str, str] = {}  # what else narrows the list

    def offered(self) -> list[tuple[str, str]]:
        """Return the choices: value and label."""
        raise NotImplementedError

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        """Return the orders that a choice leaves."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:  # noqa: ARG002
        apart = (self.parameter_name, PAGE_VAR)
        self.beside = {name: str(value) for name, value in request.GET.items() if name not in apart}
        return self.offered()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:  # noqa: ARG002
        choice = self.value()
        return self.narrowed(queryset, choice) if choice in dict(self.offered()) else queryset


class StatusFilter(OrderFilter):
    """Where the order stands."""

    title = parameter_name = "status"

    def offered(self) -> list[tuple[str, str]]:
        return [(status.value, status.value.capitalize()) for status in Status]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return orders.filter(journey__status=choice)


class AttentionFilter(OrderFilter):
    """Whether a person should look at it."""

    title = parameter_name = "attention"

    def offered(self) -> list[tuple[str, str]]:
        return [("needed", "Needs attention")]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:  # noqa: ARG002
        # Not `exclude`: it would join outwards, past the partial index.
        return orders.filter(journey__attention__gt="")


class WaitingFilter(OrderFilter):
    """What the order waits for."""

    title = "waiting on"
    parameter_name = "waiting"

    def offered(self) -> list[tuple[str, str]]:
        return [(wait.value, text.capitalize()) for wait, text in WAITS.items()]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        # The status brings the partial index in: whoever waits is under way.
        return orders.filter(journey__status__in=UNDER_WAY, journey__waiting_for=choice)


class CauseFilter(OrderFilter):
    """What keeps it: only there while it is chosen, which the start page does."""

    title = "cause"
    parameter_name = "cause"

    def offered(self) -> list[tuple[str, str]]:
        cause = self.value()
        return [(cause, stuck_reasons.title(cause).capitalize())] if cause else []

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return stuck_reasons.kept_by(choice, orders)


class CanaryFilter(OrderFilter):
    """Whose it is: our own orders, which only see whether the way is clear, are left out unless they are asked for."""

    title = "test orders"
    parameter_name = "whose"

    def offered(self) -> list[tuple[str, str]]:
        return [("canaries", "Test orders only"), ("everybody", "Include test orders")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:  # noqa: ARG002
        match self.value():
            case "everybody":
                return queryset
            case "canaries":
                return queryset.filter(owner_id=canary_account.owner_id() or 0)
            case _:
                return canary_account.left_out(queryset)


class CountryFilter(OrderFilter):
    """Where it goes: too many choices for a list of links."""

    title = parameter_name = "country"
    template = "admin/orders/order/choice_filter.html"

    def offered(self) -> list[tuple[str, str]]:
        return [(country, country) for country in ZoneCountry.objects.values_list("country", flat=True)]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return orders.filter(country=choice)


class PlacedFilter(OrderFilter):
    """When it was placed."""

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
