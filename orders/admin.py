"""Orders in the admin site: read-only, changed by operations only. `desk` registers those of orders."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from inventory.models import Reservation
from iso.currencies import format_amount
from orders import queries
from orders.legs import LEGS, read_states
from orders.maintenance import archive
from orders.models import ArchivedOrder, Batch, Credit, Journey, Order, OrderEvent, OrderLine
from orders.operators import capturing, refunding
from orders.operators.actions import OPERATIONS, Operation, previews
from orders.operators.explain import explain, is_at_rest
from orders.operators.lists import PageAdmin
from orders.operators.operating import IS_ID, OperatingAdmin
from orders.operators.pages import capture_page, paid_page, refund_page, shown_restored
from orders.operators.runs import flower_url, latest_batch, runs_in, runs_of
from orders.operators.search import found, named
from orders.permissions import may_operate
from orders.placing.origin import trace_url
from orders.refunding.extent import RefundState, annotated, in_parts, refundable_of, state_of
from orders.refunding.receipts import is_paid_by_hand
from orders.reporting.wording import attention, timeline, waits_for
from orders.status import Status
from payments.expiry import expires_at
from payments.models import Transaction

# --- The list ---------------------------------------------------------------------------------------------


class OrdersAdmin(PageAdmin):
    """Shared by current and archived orders."""

    page = "admin/orders/order/order.html"
    ordering = ("-id",)
    # Columns with an index.
    sortable_by: ClassVar[tuple[str, ...]] = ("shown_number", "customer_name", "placed", "age")
    # Enables the search box; `find` searches.
    search_fields = ("id",)

    def order_of(self, row: Any) -> Order:
        return cast("Order", row)

    def find(self, queryset: QuerySet[Any], text: str) -> QuerySet[Any]:
        return found(queryset, text)

    @admin.display(description="Order", ordering="pk")
    def shown_number(self, row: Any) -> str:
        return self.order_of(row).number

    @admin.display(description="Status")
    def status(self, row: Any) -> SafeString:
        order = self.order_of(row)
        refunds = state_of(order, refunded=self.refunded_of(row), refundable=self.refundable_of(row))
        return status_badge(order.journey, refunds)

    @admin.display(description="Customer name", ordering="customer_name")
    def customer_name(self, row: Any) -> str:
        return self.order_of(row).customer_name

    @admin.display(description="Total")
    def total(self, row: Any) -> str:
        order = self.order_of(row)
        return format_amount(order.total_amount, order.currency)

    @admin.display(description="Placed (UTC)", ordering="pk")
    def placed(self, row: Any) -> str:
        return f"{self.order_of(row).placed_at:%Y-%m-%d %H:%M}"

    @admin.display(description="Age", ordering="-pk")
    def age(self, row: Any) -> str:
        return timesince(self.order_of(row).placed_at, depth=1)

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002 - Django's signature
        queryset: QuerySet[Any],
        search_term: str,
    ) -> tuple[QuerySet[Any], bool]:
        """Search by `find`."""
        return (self.find(queryset, search_term) if search_term.strip() else queryset), False

    def refunded_of(self, row: Any) -> Decimal:
        """Return what was refunded of an order in parts."""
        raise NotImplementedError

    def refundable_of(self, row: Any) -> Decimal:
        """Return what can be refunded of an order at most."""
        raise NotImplementedError

    def common_context(self, row: Any, order: Order, granted: Sequence[Credit]) -> dict[str, Any]:
        refunds = state_of(order, refunded=in_parts(granted), refundable=self.refundable_of(row))
        return {
            "title": order.number,
            "order": order,
            "journey": order.journey,
            "badge": status_badge(order.journey, refunds),
            "settled": SETTLED.get(order.journey.status),
        }


class OrderAdmin(OperatingAdmin, OrdersAdmin):
    list_display = ("shown_number", "status", "age", "needs", "customer_name", "total", "placed")
    list_display_links = ("shown_number",)
    list_select_related = ("journey",)
    search_help_text = (
        "Number or a part of it (#279), UUID, first or last name, e-mail or its beginning, reference, customer ID,"
        " post code, SKU, provider ID. Names, addresses, SKUs and provider IDs: the latest 200,000 orders."
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

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that capture and refund a part, and record payments."""
        capture = self.admin_site.admin_view(self.capture_view)
        view = self.admin_site.admin_view(self.refund_view)
        paid = self.admin_site.admin_view(self.paid_view)
        return [
            path("<int:order_id>/capture/", capture, name="orders_order_capture"),
            path("<int:order_id>/refund/", view, name="orders_order_refund"),
            path("<int:order_id>/paid/", paid, name="orders_order_paid"),
            *super().get_urls(),
        ]

    def capture_view(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Capture a part of an order."""
        if not (self.has_view_permission(request) and may_operate(request.user, "capture")):
            raise PermissionDenied
        order = self.get_object(request, str(order_id))
        if order is None:
            return self.missing(str(order_id))
        return capture_page(request, self.admin_site.each_context(request) | {"opts": self.opts}, order)

    def paid_view(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Record a payment that arrived or was paid back by hand."""
        if not (self.has_view_permission(request) and may_operate(request.user, "paid")):
            raise PermissionDenied
        order = self.get_object(request, str(order_id))
        if order is None:
            return self.missing(str(order_id))
        return paid_page(request, self.admin_site.each_context(request) | {"opts": self.opts}, order)

    def refund_view(self, request: HttpRequest, order_id: int) -> HttpResponse:
        """Refund a part of an order."""
        if not (self.has_view_permission(request) and may_operate(request.user, "refund")):
            raise PermissionDenied
        if ArchivedOrder.objects.filter(pk=order_id).exists():
            return shown_restored(order_id, lambda: self._refund_page(request, order_id))
        return self._refund_page(request, order_id)

    def _refund_page(self, request: HttpRequest, order_id: int) -> HttpResponse:
        order = self.get_object(request, str(order_id))
        if order is None:
            return self.missing(str(order_id))
        return refund_page(request, self.admin_site.each_context(request) | {"opts": self.opts}, order)

    def missing(self, object_id: str) -> HttpResponse:
        if IS_ID.fullmatch(object_id) and ArchivedOrder.objects.filter(pk=object_id).exists():
            return HttpResponseRedirect(reverse("admin:orders_archivedorder_change", args=[object_id]))
        return super().missing(object_id)

    def context_of(self, request: HttpRequest, order: Order) -> dict[str, Any]:
        events, runs = list(order.events.all()), runs_of(order)
        granted = list(order.credits.all())
        transactions = list(Transaction.objects.filter(order_id=order.pk).order_by("started_at"))
        held = capturing.standing_by_staff(order, transactions)
        return self.common_context(order, order, granted) | {
            "explanation": "" if is_at_rest(order.journey) else explain(order).text,
            "waits_for": waits_for(order.journey.waiting_for),
            "attention": attention(order.journey.attention),
            "legs": list(zip(LEGS, read_states(order.journey), strict=True)),
            "lines": list(order.lines.all()),
            "transactions": transactions,
            "expires_at": expires_at(transactions),
            "held": held,
            "may_capture": may_operate(request.user, "capture") and capturing.is_capturable(order, held),
            "refunds": refunding.listed(granted),
            "may_refund": may_operate(request.user, "refund") and refunding.is_refundable(order, granted),
            "may_record": may_operate(request.user, "paid") and is_paid_by_hand(order),
            "reservations": Reservation.objects.filter(order_id=order.pk).select_related("product"),
            "timeline": timeline(events),
            "runs": runs,
            "flower_url": flower_url(latest_batch(order.journey, runs)),
            "trace_url": trace_url(events[0] if events else None),
            "operations": self._possible(request, order),
        }

    def _possible(self, request: HttpRequest, order: Order) -> list[Operation]:
        return [each for each in self.allowed(request) if previews(each, [order])[0].effects]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        return annotated(super().get_queryset(request).select_related("journey"))

    def refunded_of(self, row: Any) -> Decimal:
        """Return the annotation of the list's query."""
        return cast("Decimal", row.refunded)

    def refundable_of(self, row: Any) -> Decimal:
        """Return the annotation of the list's query."""
        return cast("Decimal", row.refundable)


REFUNDED = {RefundState.PARTLY: ", partly refunded", RefundState.REFUNDED: ", refunded"}
# Names of `settled_at` on the page; none while work is under way.
SETTLED = {
    status.value: status.value.capitalize()
    for status in (Status.CONFIRMED, Status.COMPLETED, Status.CANCELLED, Status.REJECTED)
}


def status_badge(journey: Journey, refunds: RefundState) -> SafeString:
    label = journey.status.capitalize() + REFUNDED.get(refunds, "")
    return format_html('<span class="status status-{}">{}</span>', journey.status, label)


# --- Batches and the archive ------------------------------------------------------------------------------


@admin.register(Batch)
class BatchAdmin(PageAdmin):
    page = "admin/orders/batch/batch.html"

    list_display = ("id", "size", "started_at", "finished_at", "seconds")
    ordering = ("-id",)

    @admin.display(description="Seconds", empty_value="in progress")
    def seconds(self, batch: Batch) -> str | None:
        return f"{(batch.finished_at - batch.started_at).total_seconds():.3f}" if batch.finished_at else None

    def context_of(self, request: HttpRequest, batch: Batch) -> dict[str, Any]:  # noqa: ARG002
        orders = Order.objects.filter(pk__in=batch.order_ids)
        return {
            "title": f"Batch {batch.pk}",
            "batch": batch,
            "runs": runs_in(batch),
            "flower_url": flower_url(batch.pk),
            "orders": queries.without_canaries(orders).select_related("journey").order_by("pk"),
        }


class ArchivedOrderAdmin(OrdersAdmin):
    list_display = ("shown_number", "status", "customer_name", "total", "placed")
    sortable_by: ClassVar[tuple[str, ...]] = ("shown_number", "placed")
    search_help_text = "Number, ID or UUID."

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        return request.user.has_perm("orders.view_order")

    has_module_permission = has_view_permission

    def order_of(self, row: ArchivedOrder) -> Order:
        return archive.order_of(row)

    def refunded_of(self, row: ArchivedOrder) -> Decimal:
        """Return the sum of the archived credits."""
        return in_parts(archive.rows_of(row, "credits", Credit))

    def refundable_of(self, row: ArchivedOrder) -> Decimal:
        """Return what the archived captures come to."""
        return refundable_of(archive.order_of(row), archive.rows_of(row, "transactions", Transaction))

    def find(self, queryset: QuerySet[ArchivedOrder], text: str) -> QuerySet[ArchivedOrder]:
        return named(queryset, text)

    def context_of(self, request: HttpRequest, archived: ArchivedOrder) -> dict[str, Any]:
        order = archive.order_of(archived)
        transactions = archive.rows_of(archived, "transactions", Transaction)
        granted = archive.rows_of(archived, "credits", Credit)
        may_refund = may_operate(request.user, "refund")
        may_refund = may_refund and refunding.is_archived_refundable(order, transactions)
        return self.common_context(archived, order, granted) | {
            "archived": archived,
            "may_refund": may_refund,
            "operations": [OPERATIONS["refund"]] if may_refund else [],
            "lines": archive.rows_of(archived, "lines", OrderLine),
            "transactions": transactions,
            "refunds": refunding.listed(granted),
            "timeline": timeline(archive.rows_of(archived, "events", OrderEvent)),
        }
