"""What the desk's pages of orders and archived orders have beside the orders' own."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from desk.handling import Refused, add_note, handle, operators, parse_tags
from desk.history import history
from desk.models import LONGEST_NOTE, Handling
from notifications.delivery import resend
from notifications.models import Delivery, Notification
from notifications.webhooks import redeliver
from orders.models import OrderEvent

ADD_NOTE, HANDLE = "desk.add_note", "desk.change_handling"


def context_of(request: HttpRequest, order_id: int, events: list[OrderEvent]) -> dict[str, Any]:
    handling = Handling.objects.select_related("assignee").filter(pk=order_id).first()
    may_handle = request.user.has_perm(HANDLE)
    return {
        "history": history(order_id, events, user=request.user),
        "handling": handling,
        "may_note": request.user.has_perm(ADD_NOTE),
        "may_handle": may_handle,
        "operators": operators() if may_handle else [],
        "longest_note": LONGEST_NOTE,
    }


class HandledAdmin(admin.ModelAdmin):
    """Takes notes, assigns, tags, and resends what an order sent."""

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses of the forms on an order's page."""
        views: list[tuple[str, str, Callable[..., HttpResponse]]] = [
            ("note", "note/", self.note_view),
            ("handle", "handle/", self.handle_view),
            ("resend", "resend/<str:kind>/<int:pk>/", self.resend_view),
        ]
        ours = [
            path(
                f"<int:order_id>/{route}",
                self.admin_site.admin_view(require_POST(view)),
                name=f"orders_order_{name}",
            )
            for name, route, view in views
        ]
        return [*ours, *super().get_urls()]

    def note_view(self, request: HttpRequest, order_id: int) -> HttpResponse:
        user = _user_with(request, ADD_NOTE)
        self._order(request, order_id)
        try:
            add_note(order_id, request.POST.get("text", ""), user=user)
        except Refused as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        return _back_to(order_id, "#history")

    def handle_view(self, request: HttpRequest, order_id: int) -> HttpResponse:
        user = _user_with(request, HANDLE)
        order = self._order(request, order_id)
        try:
            tags = parse_tags(request.POST.get("tags", ""))
            assignee = _assignee(request.POST.get("assignee", ""))
            if handle(order, assignee=assignee, tags=tags, user=user):
                self.message_user(request, "Assignee and tags are saved.", messages.SUCCESS)
        except Refused as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        return _back_to(order_id)

    def resend_view(self, request: HttpRequest, order_id: int, kind: str, pk: int) -> HttpResponse:
        if kind == "mail":
            user = _user_with(request, "notifications.change_notification")
            count = resend(Notification.objects.filter(pk=pk, order_id=order_id), user_id=user.pk)
        elif kind == "webhook":
            user = _user_with(request, "notifications.change_delivery")
            count = redeliver(Delivery.objects.filter(pk=pk, order_id=order_id), user_id=user.pk)
        else:
            raise Http404(f"Nothing of the kind {kind[:20]} is sent.")
        text = (
            "It will be sent again." if count else "Nothing to send again: it is already waiting to be sent."
        )
        self.message_user(request, text, messages.SUCCESS if count else messages.WARNING)
        return _back_to(order_id, "#history")

    def _order(self, request: HttpRequest, order_id: int) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        order = self.model._default_manager.filter(pk=order_id).first()
        if order is None:
            raise Http404(f"No order {order_id}.")
        return order


def _user_with(request: HttpRequest, permission: str) -> User:
    if not isinstance(request.user, User) or not request.user.has_perm(permission):
        raise PermissionDenied
    return request.user


def _assignee(name: str) -> User | None:
    if not name:
        return None
    found = operators().filter(username=name).first()
    if found is None:
        raise Refused(f"{name[:50]} is not an active operator.")
    return found


def _back_to(order_id: int, anchor: str = "") -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:orders_order_change", args=[order_id]) + anchor)
