"""Filters of the order list by fields: date range, amount, product, assignee, tag."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, SEARCH_VAR
from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from desk.models import Handling
from inventory.models import Product
from orders.models import Order, OrderLine
from orders.operators.admin_filters import OrderFilter
from orders.reporting.stats import first_id_since

MOST_CHOICES = 50


class FieldsFilter(admin.ListFilter):
    """A filter with input fields: name, label, HTML type."""

    template = "admin/desk/fields_filter.html"
    fields: ClassVar[tuple[tuple[str, str, str], ...]] = ()

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        names = [name for name, _, _ in self.fields]
        for name in names:
            values = params.pop(name, [""])
            self.used_parameters[name] = str(values[-1]).strip()
        others = (*names, PAGE_VAR)
        self.beside = {name: str(value) for name, value in request.GET.items() if name not in others}

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return [name for name, _, _ in self.fields]

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:  # noqa: ARG002 - Django's signature
        for name, label, type_ in self.fields:
            yield {"name": name, "label": label, "type": type_, "value": self.used_parameters[name]}

    def value(self, name: str) -> str:
        """Return a field's text; empty if it is not filled in."""
        return str(self.used_parameters[name])


class DateRangeFilter(FieldsFilter):
    """Filters by the first and the last day of placement, UTC."""

    title = "date (UTC)"
    fields = (("from", "From", "date"), ("to", "To", "date"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:  # noqa: ARG002
        if self.value("from"):
            queryset = queryset.filter(pk__gte=first_id_since(_day(self.value("from"))))
        if self.value("to"):
            queryset = queryset.filter(pk__lt=first_id_since(_day(self.value("to")) + timedelta(days=1)))
        return queryset


class AmountFilter(FieldsFilter):
    """Filters by the total, shipping included as far as it is known."""

    title = "total"
    fields = (("least", "At least", "text"), ("most", "At most", "text"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:  # noqa: ARG002
        limits = {
            f"total__{lookup}": _amount(self.value(name))
            for name, lookup in (("least", "gte"), ("most", "lte"))
            if self.value(name)
        }
        if not limits:
            return queryset
        total = (
            F("goods_amount") + F("adjustment_amount") + Coalesce(F("journey__shipping_amount"), Decimal(0))
        )
        return queryset.alias(total=total).filter(**limits)


class ProductFilter(FieldsFilter):
    """Filters by a product on one of the lines."""

    title = "product"
    fields = (("sku", "SKU", "text"),)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:  # noqa: ARG002
        if not self.value("sku"):
            return queryset
        products = list(Product.objects.filter(sku__iexact=self.value("sku")).values_list("pk", flat=True))
        lines = OrderLine.objects.filter(order_id=OuterRef("pk"), product_id__in=products)
        return queryset.filter(Exists(lines)) if products else queryset.none()


class AssigneeFilter(OrderFilter):
    """Filters by who takes care of the order."""

    title = parameter_name = "assignee"

    def offered(self) -> list[tuple[str, str]]:
        assigned = User.objects.filter(pk__in=Handling.objects.filter(assignee__gt=0).values("assignee_id"))
        names = assigned.order_by("username").values_list("username", flat=True)[:MOST_CHOICES]
        return [("me", "Me"), *((name, name) for name in names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        if self.value() == "me":
            return queryset.filter(pk__in=_handled(assignee_id=request.user.pk))
        return super().queryset(request, queryset)

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return orders.filter(pk__in=_handled(assignee__username=choice))


class TagFilter(OrderFilter):
    """Filters by a tag, as a select."""

    title = parameter_name = "tag"
    template = "admin/orders/order/choice_filter.html"

    def offered(self) -> list[tuple[str, str]]:
        tags = Handling.objects.exclude(tags=[]).values_list("tags", flat=True).order_by("-order_id")[:1000]
        return [(tag, tag) for tag in sorted({tag for each in tags for tag in each})[:MOST_CHOICES]]

    def narrowed(self, orders: QuerySet[Order], choice: str) -> QuerySet[Order]:
        return orders.filter(pk__in=_handled(tags__contains=[choice]))


def list_state(request: HttpRequest) -> str:
    """Return the list's query string without the page: filters, search and sorting."""
    query = request.GET.copy()
    for name in (PAGE_VAR, "e"):
        query.pop(name, None)
    for name in [name for name, value in query.items() if not value]:
        query.pop(name)
    return query.urlencode()


def is_narrowed(request: HttpRequest) -> bool:
    return bool(set(request.GET) - {PAGE_VAR, ORDER_VAR, "e"} or request.GET.get(SEARCH_VAR))


def _handled(**condition: Any) -> QuerySet[Handling, int]:
    return Handling.objects.filter(**condition).values_list("order_id", flat=True)


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
        if not 1970 < day.year < 3000:
            raise ValueError
    except ValueError:
        raise IncorrectLookupParameters(f"{text[:20]} is not a day such as 2026-01-31.") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text.replace(",", ""))
        if not amount.is_finite() or abs(amount) > 10**12:
            raise InvalidOperation
    except InvalidOperation:
        raise IncorrectLookupParameters(f"{text[:20]} is not an amount such as 99.50.") from None
    return amount
