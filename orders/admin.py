"""Orders in the admin site: read-only, changed by operations only."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import OperationalError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from inventory.models import Reservation
from orders.legs import LEGS, PAYMENT, read_states
from orders.log_context import trace_url
from orders.maintenance import archive
from orders.models import ArchivedOrder, Batch, Journey, Order, OrderEvent, OrderLine
from orders.operators import stuck_reasons
from orders.operators.actions import LONGEST_REASON, OPERATIONS, Operation, Told, operate, previews, totals
from orders.operators.admin_filters import (
    AttentionFilter,
    CanaryFilter,
    CauseFilter,
    CountryFilter,
    PlacedFilter,
    StatusFilter,
    WaitingFilter,
)
from orders.operators.explain import explain, is_at_rest
from orders.operators.runs import flower_url, latest_batch, runs_in, runs_of
from orders.operators.search import found, named
from orders.permissions import may_operate
from orders.wording import attention, timeline, waits_for
from payments.models import Transaction

MOST_AT_ONCE = 5000
# Orders previewed, and orders reported one by one.
SHOWN, REPORTED_SINGLY = 100, 10
IS_ID = re.compile(r"[0-9]{1,18}")
PAGES_AHEAD = 5


class ReadOnlyAdmin(admin.ModelAdmin):
    """A read-only list."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return False

    def get_paginator(
        self, request: HttpRequest, queryset: Any, per_page: int, *_: Any, **__: Any
    ) -> Paginator:
        """Return a NearPaginator."""
        page = request.GET.get(PAGE_VAR, "1")
        return NearPaginator(queryset, per_page, page=int(page) if page.isdigit() else 1)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list; without filters after a statement timeout."""
        title = {"title": str(self.opts.verbose_name_plural).capitalize()}
        try:
            response = super().changelist_view(request, title | (extra_context or {}))
            return response.render() if isinstance(response, TemplateResponse) else response
        except OperationalError:
            if not request.GET:
                raise
            self.message_user(
                request, "The query took too long. Filter by date to narrow it down.", messages.WARNING
            )
            return HttpResponseRedirect(request.path)


class PageAdmin(ReadOnlyAdmin):
    """A list with a custom page per object."""

    page = ""

    def missing(self, object_id: str) -> HttpResponse:
        """Raise Http404."""
        raise Http404(f"No {self.opts.verbose_name} {object_id[:40]}.")

    def context_of(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return the page's context."""
        raise NotImplementedError

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",  # noqa: ARG002 - Django's signature
        extra_context: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """Show an object's page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, object_id)
        if obj is None:
            return self.missing(object_id)
        context = self.admin_site.each_context(request) | {"opts": self.opts}
        return TemplateResponse(request, self.page, context | self.context_of(request, obj))


class NearPaginator(Paginator):
    """Counts only PAGES_AHEAD pages: counting millions of rows takes seconds."""

    def __init__(self, object_list: Any, per_page: int, *, page: int) -> None:
        super().__init__(object_list, per_page)
        self._orders: QuerySet[Any] = object_list
        self._most = (page + PAGES_AHEAD) * per_page + 1

    @cached_property
    def count(self) -> int:
        """The number of rows, capped."""
        return self._orders[: self._most].count()


# --- The list ---------------------------------------------------------------------------------------------


class OrdersAdmin(PageAdmin):
    """Shared by current and archived orders."""

    page = "admin/orders/order/order.html"
    ordering = ("-id",)
    # Enables the search box; `find` searches.
    search_fields = ("id",)

    def order_of(self, row: Any) -> Order:
        """Return a row's order."""
        return cast("Order", row)

    def find(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        """Return matching orders."""
        return found(queryset, text)

    @admin.display(description="Order")
    def shown_number(self, row: Any) -> str:
        """Column: order number."""
        return self.order_of(row).number

    @admin.display(description="Status")
    def status(self, row: Any) -> SafeString:
        """Column: status badge."""
        return status_badge(self.order_of(row).journey)

    @admin.display(description="Customer name")
    def customer_name(self, row: Any) -> str:
        """Column: customer name."""
        return self.order_of(row).customer_name

    @admin.display(description="Total")
    def total(self, row: Any) -> str:
        """Column: total and currency."""
        order = self.order_of(row)
        return f"{order.total_amount:,.2f} {order.currency}"

    @admin.display(description="Placed (UTC)")
    def placed(self, row: Any) -> str:
        """Column: time of placement."""
        return f"{self.order_of(row).placed_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Age")
    def age(self, row: Any) -> str:
        """Column: time since placement."""
        return timesince(self.order_of(row).placed_at, depth=1)

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002 - Django's signature
        queryset: QuerySet[Any],
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        """Search by `find`."""
        return (self.find(queryset, search_term) if search_term.strip() else queryset), False

    def common_context(self, order: Order) -> dict[str, Any]:
        """Return the shared context."""
        return {
            "title": order.number,
            "order": order,
            "journey": order.journey,
            "badge": status_badge(order.journey),
        }


@admin.register(Order)
class OrderAdmin(OrdersAdmin):
    """Current orders, with operations."""

    list_display = ("shown_number", "status", "age", "needs", "customer_name", "total", "placed")
    list_display_links = ("shown_number",)
    list_filter = (
        CauseFilter,
        StatusFilter,
        AttentionFilter,
        WaitingFilter,
        PlacedFilter,
        CanaryFilter,
        CountryFilter,
    )
    list_select_related = ("journey",)
    search_help_text = (
        "Order number, ID or UUID, customer name or ID, or e-mail address. Name prefixes, customer IDs and guest"
        " e-mails are searched in the latest 200,000 orders."
    )

    @admin.display(description="Waiting on", empty_value="")
    def needs(self, order: Order) -> SafeString | str:
        """Column: attention or wait."""
        if order.journey.attention:
            return format_html(
                '<span class="desk-urgent">attention: {}</span>', attention(order.journey.attention)
            )
        if order.journey.is_held:
            return "manual release"
        return waits_for(order.journey.waiting_for)

    # --- One order ---

    def missing(self, object_id: str) -> HttpResponse:
        """Redirect to the archived order, if any."""
        if IS_ID.fullmatch(object_id) and ArchivedOrder.objects.filter(pk=object_id).exists():
            return HttpResponseRedirect(reverse("admin:orders_archivedorder_change", args=[object_id]))
        return super().missing(object_id)

    def context_of(self, request: HttpRequest, order: Order) -> dict[str, Any]:
        """Return the page's context."""
        events, runs = list(order.events.all()), runs_of(order)
        return self.common_context(order) | {
            "explanation": "" if is_at_rest(order.journey) else explain(order).text,
            "waits_for": waits_for(order.journey.waiting_for),
            "attention": attention(order.journey.attention),
            "legs": list(zip(LEGS, read_states(order.journey), strict=True)),
            "lines": list(order.lines.all()),
            "transactions": Transaction.objects.filter(order_id=order.pk).order_by("started_at"),
            "reservations": Reservation.objects.filter(order_id=order.pk).select_related("product"),
            "timeline": timeline(events),
            "runs": runs,
            "flower_url": flower_url(latest_batch(order.journey, runs)),
            "trace_url": trace_url(events[0] if events else None),
            "operations": self._possible(request, order),
        }

    def _possible(self, request: HttpRequest, order: Order) -> list[Operation]:
        """Return permitted operations with an effect."""
        return [each for each in self._allowed(request) if previews(each, [order])[0].effects]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        """Return orders with their journeys."""
        return super().get_queryset(request).select_related("journey")

    # --- Operations ---

    def _allowed(self, request: HttpRequest) -> list[Operation]:
        """Return the permitted operations."""
        return [each for each in OPERATIONS.values() if may_operate(request.user, each.name)]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the permitted operations as actions."""
        return {
            f"ask_{operation.name}": (
                partial(_confirm, operation=operation),
                f"ask_{operation.name}",
                f"{operation.label} selected orders",
            )
            for operation in self._allowed(request)
        }

    def get_urls(self) -> list[URLPattern]:
        """Add the confirmation page of operations."""
        operate = path(
            "operate/<str:name>/", self.admin_site.admin_view(self.operate_view), name="orders_order_operate"
        )
        return [operate, *super().get_urls()]

    def operate_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Preview an operation on GET, run it on POST."""
        operation = OPERATIONS.get(name)
        if operation is None:
            raise Http404(f"Unknown operation {name[:40]}.")
        if not may_operate(request.user, name):
            raise PermissionDenied
        parameters = request.POST if request.method == "POST" else request.GET
        orders = self._select(parameters)
        if request.method == "POST":
            reason = parameters.get("reason", "").strip()[:LONGEST_REASON]
            if reason or not operation.needs_reason:
                return self._operate(request, operation, list(orders[:MOST_AT_ONCE]), reason)
            self.message_user(request, "A reason is required. It is recorded with the order.", messages.ERROR)
        return self.confirm(request, operation, orders, cause=parameters.get("cause", ""))

    def _select(self, parameters: QueryDict) -> QuerySet[Order]:
        """Return orders by id, cause or both."""
        orders, cause = (
            self.model._default_manager.select_related("journey").order_by("-pk"),
            parameters.get("cause"),
        )
        if cause:
            orders = stuck_reasons.kept_by(cause, orders)
        if "order" in parameters or not cause:
            ids = ",".join(parameters.getlist("order")).split(",")
            orders = orders.filter(pk__in=[int(id_) for id_ in ids if IS_ID.fullmatch(id_)])
        return orders

    def confirm(
        self, request: HttpRequest, operation: Operation, orders: QuerySet[Order], cause: str = ""
    ) -> HttpResponse:
        """Show the effects and a form to confirm."""
        outlook = previews(operation, list(orders.prefetch_related("lines")[:MOST_AT_ONCE]))
        affected = [preview for preview in outlook if preview.effects]
        untouched = [preview for preview in outlook if not preview.effects]
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": f"{operation.label}: {len(outlook):,} order{'' if len(outlook) == 1 else 's'}",
            "operation": operation,
            "cause": cause,
            "cause_in_words": stuck_reasons.title(cause) if cause else "",
            "totals": totals(affected),
            "previews": affected,
            "untouched": untouched,
            "shown": SHOWN,
            "most": MOST_AT_ONCE if len(outlook) == MOST_AT_ONCE else 0,
            "longest_reason": LONGEST_REASON,
        }
        return TemplateResponse(request, "admin/orders/order/operate.html", context)

    def _operate(
        self, request: HttpRequest, operation: Operation, orders: Sequence[Order], reason: str
    ) -> HttpResponse:
        assert request.user.pk is not None
        done = operate(operation, [order.pk for order in orders], user_id=request.user.pk, reason=reason)
        self._report(request, orders, done)
        if len(orders) == 1:
            return HttpResponseRedirect(reverse("admin:orders_order_change", args=[orders[0].pk]))
        if "cause" in request.POST:
            return HttpResponseRedirect(reverse("admin:index"))
        return HttpResponseRedirect(reverse("admin:orders_order_changelist"))

    def _report(self, request: HttpRequest, orders: Sequence[Order], done: Mapping[int, Told]) -> None:
        """Add a message per order, or per outcome of many."""
        level = {True: messages.SUCCESS, False: messages.WARNING}
        if not orders:
            self.message_user(
                request, "Nothing left to do: the orders have changed meanwhile.", messages.WARNING
            )
        if len(orders) <= REPORTED_SINGLY:
            for order in orders:
                outcome = done[order.pk]
                self.message_user(request, outcome.of(order), level[outcome.is_done])
            return
        for outcome, count in Counter(done.values()).most_common():
            self.message_user(request, outcome.of_many(count), level[outcome.is_done])


def _confirm(
    model_admin: OrderAdmin, request: HttpRequest, queryset: QuerySet[Order], *, operation: Operation
) -> HttpResponse:
    return model_admin.confirm(request, operation, queryset)


def status_badge(journey: Journey) -> SafeString:
    """Return a status badge."""
    label = journey.status.capitalize() + (", refunded" if journey.payment == PAYMENT.REFUNDED else "")
    return format_html('<span class="status status-{}">{}</span>', journey.status, label)


# --- Batches and the archive ------------------------------------------------------------------------------


@admin.register(Batch)
class BatchAdmin(PageAdmin):
    """Batches of the last days."""

    page = "admin/orders/batch/batch.html"

    list_display = ("id", "size", "started_at", "finished_at", "seconds")
    ordering = ("-id",)

    @admin.display(description="Seconds", empty_value="in progress")
    def seconds(self, batch: Batch) -> str | None:
        """Column: duration."""
        return f"{(batch.finished_at - batch.started_at).total_seconds():.3f}" if batch.finished_at else None

    def context_of(self, request: HttpRequest, batch: Batch) -> dict[str, Any]:  # noqa: ARG002
        """Return the page's context."""
        return {
            "title": f"Batch {batch.pk}",
            "batch": batch,
            "runs": runs_in(batch),
            "flower_url": flower_url(batch.pk),
            "orders": Order.objects.filter(pk__in=batch.order_ids).select_related("journey").order_by("pk"),
        }


@admin.register(ArchivedOrder)
class ArchivedOrderAdmin(OrdersAdmin):
    """Archived orders."""

    list_display = ("shown_number", "status", "customer_name", "total", "placed")
    search_help_text = "Number, id or UUID."

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """As for current orders."""
        return request.user.has_perm("orders.view_order")

    has_module_permission = has_view_permission

    def order_of(self, row: ArchivedOrder) -> Order:
        """Return the order as it was archived."""
        return archive.order_of(row)

    def find(self, queryset: QuerySet[ArchivedOrder], text: str) -> QuerySet[ArchivedOrder]:
        """Return the order by reference."""
        return named(queryset, text)

    def context_of(self, request: HttpRequest, archived: ArchivedOrder) -> dict[str, Any]:  # noqa: ARG002
        """Return the page's context."""
        return self.common_context(archive.order_of(archived)) | {
            "archived": archived,
            "lines": archive.rows_of(archived, "lines", OrderLine),
            "transactions": archive.rows_of(archived, "transactions", Transaction),
            "timeline": timeline(archive.rows_of(archived, "events", OrderEvent)),
        }
