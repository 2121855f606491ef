"""Operations on orders in the admin: preview, confirmation, outcome."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from orders.models import ArchivedOrder, Order
from orders.operators import stuck_reasons
from orders.operators.actions import (
    LONGEST_REASON,
    OPERATIONS,
    Operation,
    OperationResult,
    operate,
    previews,
    totals,
)
from orders.operators.pages import shown_restored
from orders.permissions import may_operate

MOST_AT_ONCE = 5000
# Orders previewed, and orders reported one by one.
SHOWN, REPORTED_SINGLY = 100, 10
IS_ID = re.compile(r"[0-9]{1,18}")


class OperatingAdmin(admin.ModelAdmin):
    """Offers the operations that a user has permission for, as list actions and on a confirmation page."""

    def allowed(self, request: HttpRequest) -> list[Operation]:
        return [each for each in OPERATIONS.values() if may_operate(request.user, each.name)]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {
            f"ask_{operation.name}": (
                partial(_confirm, operation=operation),
                f"ask_{operation.name}",
                f"{operation.label} selected orders",
            )
            for operation in self.allowed(request)
        }

    def get_urls(self) -> list[URLPattern]:
        operate = path(
            "operate/<str:name>/", self.admin_site.admin_view(self.operate_view), name="orders_order_operate"
        )
        return [operate, *super().get_urls()]

    def operate_view(self, request: HttpRequest, name: str) -> HttpResponse:
        operation = OPERATIONS.get(name)
        if operation is None:
            raise Http404(f"Unknown operation {name[:40]}.")
        if not may_operate(request.user, name):
            raise PermissionDenied
        if name == "refund" and (order_id := self._archived(request)):
            return shown_restored(order_id, lambda: self._previewed_or_run(request, operation))
        return self._previewed_or_run(request, operation)

    def _previewed_or_run(self, request: HttpRequest, operation: Operation) -> HttpResponse:
        parameters = request.POST if request.method == "POST" else request.GET
        orders = self._select(parameters)
        if request.method == "POST":
            reason = parameters.get("reason", "").strip()[:LONGEST_REASON]
            if reason or not operation.needs_reason:
                return self._operate(request, operation, list(orders[:MOST_AT_ONCE]), reason)
            self.message_user(request, "A reason is required. It is recorded with the order.", messages.ERROR)
        return self.confirm(request, operation, orders, cause=parameters.get("cause", ""))

    def _archived(self, request: HttpRequest) -> int | None:
        """Return the order of a request about a single archived one."""
        order_id = (request.POST or request.GET).get("order", "")
        if not IS_ID.fullmatch(order_id):
            return None
        return ArchivedOrder.objects.filter(pk=order_id).values_list("pk", flat=True).first()

    def _select(self, parameters: QueryDict) -> QuerySet[Order]:
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

    def _report(
        self, request: HttpRequest, orders: Sequence[Order], done: Mapping[int, OperationResult]
    ) -> None:
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
    model_admin: OperatingAdmin, request: HttpRequest, queryset: QuerySet[Order], *, operation: Operation
) -> HttpResponse:
    return model_admin.confirm(request, operation, queryset)
