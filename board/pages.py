"""The board's pages and fragments."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe
from rest_framework.request import Request

from board import cards, panel, sales
from board.viewers import sees_the_shop, viewer_of
from iso.currencies import DECIMALS
from orders.legs import LEGS
from orders.permissions import sees_all_orders
from orders.queries import OrderNotFound, by_reference
from scheduling.slots import database_now

# Footer links: title and URL.
PLACES = (
    ("API", "/api"),
    ("Swagger", "/swagger"),
    ("Admin", "/admin/"),
    ("Health", "/health"),
    ("Status", "/api/system/status"),
    ("Metrics", "/metrics"),
)


def content_security_policy(request: HttpRequest) -> str:
    """Return the pages' CSP: own files only, nothing inline."""
    socket = f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}"
    return (
        f"default-src 'self'; connect-src 'self' {socket}; img-src 'self' data:; object-src 'none';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorate a page: login required, CSP set, never cached."""

    @wraps(view)
    def shown(request: HttpRequest, **parameters: Any) -> HttpResponse:
        viewer = viewer_of(request)
        if viewer is None:
            return redirect_to_login(request.get_full_path(), reverse("rest_framework:login"))
        response = view(request, viewer, **parameters)
        response["Content-Security-Policy"] = content_security_policy(request)
        response["Referrer-Policy"] = "same-origin"
        return response

    return require_safe(never_cache(ensure_csrf_cookie(shown)))


@page
def board(request: HttpRequest, viewer: User) -> HttpResponse:
    context = {
        "lanes": LANES,
        "legs": LEGS,
        "legs_for_script": cards.legs_for_script(),
        "decimals": DECIMALS,
        "newest": cards.newest(viewer),
        "sees_shop": sees_the_shop(viewer),
        "places": _places(viewer),
    }
    return render(request, "board/board.html", _common(request, viewer) | context)


def _places(viewer: User) -> tuple[tuple[str, str], ...]:
    for_shop = (("Sales", "/sales"),) if sees_the_shop(viewer) else ()
    flower = (("Flower", settings.FLOWER_URL),) if settings.FLOWER_URL else ()
    mails = (("Inbox", "/inbox"),) if settings.DEMO else ()
    return for_shop + PLACES + mails + flower


@page
def order_panel(request: HttpRequest, viewer: User, reference: str) -> HttpResponse:
    try:
        order = by_reference(viewer, reference)
    except OrderNotFound:
        return render(request, "board/no_order.html", {"reference": reference[:60]}, status=404)
    return render(request, "board/panel.html", panel.context_of(order, _as_api_request(viewer, request)))


@page
def sold(request: HttpRequest, viewer: User) -> HttpResponse:
    if not sees_the_shop(viewer):
        raise PermissionDenied
    facts = sales.context_of(request.GET.get("days", ""), now=database_now())
    return render(request, "board/sales.html", _common(request, viewer) | facts)


def _common(request: HttpRequest, viewer: User) -> dict[str, object]:
    return {
        "viewer": viewer,
        "demo": settings.DEMO,
        "is_logged_in": request.user.is_authenticated,
        "sees_all": sees_all_orders(viewer),
    }


def _as_api_request(viewer: User, request: HttpRequest) -> Request:
    api_request = Request(request)
    api_request.user = viewer
    return api_request


# Key, title, empty text.
LANES = (
    ("pending", "Pending", "No pending orders."),
    ("processing", "Processing", "Nothing in progress."),
    ("confirmed", "Confirmed", "No confirmed orders yet."),
    ("completed", "Completed", "No completed orders yet."),
    ("undoing", "Cancelling / refunding", "No cancellations in progress."),
    ("ended", "Closed", "No cancelled or rejected orders."),
    ("attention", "Needs attention", "Nothing needs attention."),
)
