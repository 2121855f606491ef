"""Orders at the desk: the orders' own admin with notes, filters, saved filters and a download."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST, require_safe

from api.problems import Problem
from desk.filters import (
    AmountFilter,
    AssigneeFilter,
    DateRangeFilter,
    ProductFilter,
    TagFilter,
    is_narrowed,
    list_state,
)
from desk.models import SavedFilter
from desk.pages import HandledAdmin, context_of
from orders.admin import ArchivedOrderAdmin, OrderAdmin
from orders.http.places import EXPORTS_OF_STAFF
from orders.maintenance import archive
from orders.models import ArchivedOrder, Order, OrderEvent
from orders.operators.admin_filters import (
    AttentionFilter,
    CanaryFilter,
    CauseFilter,
    CountryFilter,
    PlacedFilter,
    RefundFilter,
    StatusFilter,
    WaitingFilter,
)
from orders.reporting.export import FORMATS

MOST_SAVED = 30


@admin.register(Order)
class DeskOrderAdmin(HandledAdmin, OrderAdmin):
    page = "admin/desk/order.html"
    list_filter = (
        CauseFilter,
        StatusFilter,
        RefundFilter,
        AttentionFilter,
        WaitingFilter,
        AssigneeFilter,
        TagFilter,
        PlacedFilter,
        DateRangeFilter,
        AmountFilter,
        ProductFilter,
        CountryFilter,
        CanaryFilter,
    )

    def context_of(self, request: HttpRequest, order: Order) -> dict[str, Any]:
        events = list(order.events.all())
        return super().context_of(request, order) | context_of(request, order.pk, events)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        ours = {
            "saved_filters": SavedFilter.objects.filter(user_id=int(request.user.pk or 0)),
            "list_state": list_state(request),
            "is_narrowed": is_narrowed(request),
        }
        return super().changelist_view(request, ours | (extra_context or {}))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return the list; report what is wrong with a filter's value."""
        try:
            return super().get_changelist_instance(request)
        except IncorrectLookupParameters as error:
            self.message_user(request, str(error), messages.ERROR)
            raise

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        ours = [
            path("export/", wrap(require_safe(self.export_view)), name="orders_order_export"),
            path("filters/", wrap(require_POST(self.save_filter_view)), name="orders_order_save_filter"),
            path(
                "filters/<int:pk>/delete/",
                wrap(require_POST(self.delete_filter_view)),
                name="orders_order_delete_filter",
            ),
        ]
        return [*ours, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Stream the orders of the filtered list as CSV, all pages of it, oldest first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            orders = self.get_changelist_instance(request).queryset
            place = EXPORTS_OF_STAFF.take(int(request.user.pk or 0))
        except IncorrectLookupParameters:
            return _to_list()
        except Problem as problem:
            self.message_user(request, str(problem), messages.WARNING)
            return _to_list(list_state(request))
        form = FORMATS["csv"]
        return StreamingHttpResponse(
            place.hold_during(form.pieces(orders, staff=True)),
            content_type=form.content_type,
            headers={"Content-Disposition": 'attachment; filename="orders.csv"'},
        )

    def save_filter_view(self, request: HttpRequest) -> HttpResponse:
        """Keep the list's filters under a name, replacing those of the same name."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        name, query = request.POST.get("name", "").strip()[:60], request.POST.get("query", "")[:1000]
        saved = SavedFilter.objects.filter(user_id=int(request.user.pk or 0))
        if not name or not query:
            self.message_user(request, "Set a filter and give it a name.", messages.ERROR)
        elif saved.exclude(name=name).count() >= MOST_SAVED:
            self.message_user(
                request, f"You have {MOST_SAVED} saved filters; delete one first.", messages.ERROR
            )
        else:
            saved.update_or_create(name=name, user_id=int(request.user.pk or 0), defaults={"query": query})
            self.message_user(request, f"Saved as “{name}”.", messages.SUCCESS)
        return _to_list(query)

    def delete_filter_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        deleted, _ = SavedFilter.objects.filter(user_id=int(request.user.pk or 0), pk=pk).delete()
        if not deleted:
            raise Http404(f"No saved filter {pk}.")
        return _to_list()


@admin.register(ArchivedOrder)
class DeskArchivedOrderAdmin(ArchivedOrderAdmin):
    """Archived orders at the desk: notes stay."""

    page = "admin/desk/order.html"

    def context_of(self, request: HttpRequest, archived: ArchivedOrder) -> dict[str, Any]:
        events = archive.rows_of(archived, "events", OrderEvent)
        ours = context_of(request, archived.pk, events)
        # Nothing about an archived order changes any more.
        return super().context_of(request, archived) | ours | {"may_handle": False, "may_note": False}


def _to_list(query: str = "") -> HttpResponse:
    address = reverse("admin:orders_order_changelist")
    return HttpResponseRedirect(f"{address}?{query}" if query else address)
