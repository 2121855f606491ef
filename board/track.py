"""The customer's page of one order, by a signed link and without a login."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.csrf import csrf_protect, ensure_csrf_cookie
from django.views.decorators.http import require_http_methods, require_safe

from board import customer
from board.pages import content_security_policy, page
from notifications.languages import language_of, supported
from notifications.shop import Shop, shop
from orders import commands
from orders.http import links
from orders.models import Order
from orders.queries import OrderNotFound, by_reference
from scheduling.slots import database_now

# A link that an account opens is valid for at least a day, however old the order is.
FOR_ACCOUNTS = links.DAY


def for_customers(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Decorate a page that a signed link opens: in the order's or browser's language, never cached or indexed."""

    @wraps(view)
    def shown(request: HttpRequest, token: str) -> HttpResponse:
        with translation.override(_language_of(request)):
            response = _open(view, request, token)
        patch_vary_headers(response, ["Accept-Language", "Cookie"])
        response["Content-Security-Policy"] = _policy(request, shop())
        # The address is the key: other sites must not learn it.
        response["Referrer-Policy"] = "same-origin"
        response["X-Robots-Tag"] = "noindex, nofollow"
        return response

    return never_cache(ensure_csrf_cookie(csrf_protect(shown)))


def _open(view: Callable[..., HttpResponse], request: HttpRequest, token: str) -> HttpResponse:
    try:
        link = links.read(token, now=database_now())
        if link.scope != links.TRACK:
            raise links.InvalidLink
        order = links.order_of(link)
    except links.ExpiredLink:
        return _not_shown(request, is_expired=True, status=410)
    except links.InvalidLink:
        return _not_shown(request, is_expired=False, status=404)
    if not supported(order.language):
        return view(request, token, order)
    with translation.override(language_of(order)):
        return view(request, token, order)


def _not_shown(request: HttpRequest, *, is_expired: bool, status: int) -> HttpResponse:
    context = {"is_expired": is_expired, "shop": shop()}
    return render(request, "board/no_track.html", context, status=status)


@require_safe
@for_customers
def track(request: HttpRequest, token: str, order: Order) -> HttpResponse:
    """Show an order to anyone who has its link."""
    # The page refetches its body after each event.
    template = "board/track_body.html" if "body" in request.GET else "board/track.html"
    return render(request, template, _context(order, token))


@require_http_methods(["GET", "HEAD", "POST"])
@for_customers
def cancel(request: HttpRequest, token: str, order: Order) -> HttpResponse:
    """Ask whether to cancel an order; cancel it when the form is sent."""
    context = _context(order, token)
    if request.method != "POST":
        return render(request, "board/track_cancel.html", context)
    try:
        commands.cancel_order(order_id=order.pk, reason="")
    except commands.NotPossible:
        return render(request, "board/track_cancel.html", context | {"effect": ""}, status=409)
    response = HttpResponseRedirect(reverse("board:track-link", args=[token]))
    response.status_code = 303
    return response


@page
def by_account(request: HttpRequest, viewer: User, uuid: UUID) -> HttpResponse:
    """Lead an account to the page of an order that it may see, by UUID only: numbers can be guessed."""
    try:
        order = by_reference(viewer, str(uuid))
    except OrderNotFound:
        context = {"is_expired": False, "shop": shop(), "viewer": viewer, "login": request.get_full_path()}
        return render(request, "board/no_track.html", context, status=404)
    at_least = database_now() + FOR_ACCOUNTS
    token = links.track_token(order.pk, order.placed_at, order.link_version, at_least=at_least)
    return HttpResponseRedirect(reverse("board:track-link", args=[token]))


@require_safe
@cache_control(public=True, max_age=300)
def theme(request: HttpRequest) -> HttpResponse:
    """Return the shop's colours as a style sheet: the pages' policy allows nothing inline."""
    return render(request, "board/theme.css", {"shop": shop()}, content_type="text/css")


def _context(order: Order, token: str) -> dict[str, Any]:
    return {"token": token} | customer.context_of(order)


def _language_of(request: HttpRequest) -> str:
    entries = request.headers.get("Accept-Language", "").split(",")
    asked = (supported(entry.partition(";")[0].strip()) for entry in entries)
    return next(filter(None, asked), str(settings.SHOP_LANGUAGE))


def _policy(request: HttpRequest, shop: Shop) -> str:
    policy = content_security_policy(request)
    return policy.replace("img-src 'self'", f"img-src 'self' {shop.logo_origin}".rstrip())
