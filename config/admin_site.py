"""Django's admin, and pages that its model lists cannot show.

Models with a composite primary key, which the admin cannot register, get a page here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth import BACKEND_SESSION_KEY
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.module_loading import import_string

from desk.handling import assigned_to
from desk.models import SavedFilter
from desk.runbook import runbook_page
from inventory import overwritten
from inventory.listing import running_low
from orders import queries
from orders.models import Order
from orders.operators import money_at_risk, stuck_reasons
from orders.operators.pages import money_at_risk_page
from orders.permissions import may_operate
from orders.queries import OrderNotFound, any_by_reference
from orders.reporting import stats
from payments.admin import transactions_page
from scheduling.admin import runs_page
from scheduling.slots import database_now


@dataclass(frozen=True)
class Page:
    """A page beside the model lists. Its view takes the request and the admin's context."""

    app_label: str  # the app it is listed under
    app_name: str
    title: str
    path: str
    permission: str
    view: Callable[[HttpRequest, dict[str, Any]], HttpResponse]

    @property
    def url_name(self) -> str:
        return self.path.replace("/", "_").replace("-", "_")


def _transactions(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    def find_order(reference: str) -> int | None:
        try:
            return int(any_by_reference(reference).pk)
        except OrderNotFound:
            return None

    canaries = Order.objects.filter(owner_id=queries.canary_owner_id() or 0).values("pk")
    return transactions_page(request, context, find_order=find_order, hidden=canaries)


SEE_PAYMENTS = "payments.view_transaction"
PAGES = (
    Page(
        "payments",
        "Payments",
        "Unresolved payments",
        "payments/money-at-risk",
        SEE_PAYMENTS,
        money_at_risk_page,
    ),
    Page("payments", "Payments", "Transactions", "payments/transactions", SEE_PAYMENTS, _transactions),
    Page(
        "django_celery_beat",
        "Periodic tasks",
        "Scheduled runs",
        "scheduling/runs",
        "scheduling.view_scheduledrun",
        runs_page,
    ),
)

# What operators need most comes first.
FIRST = ("orders", "payments", "inventory", "shipping", "notifications", "django_celery_beat")


class Desk(AdminSite):
    site_header = "Order pipeline"
    site_title = "Order pipeline"
    index_title = "Operations"

    index_template = "admin/desk.html"
    login_template = "admin/desk_login.html"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        if settings.SECOND_FACTOR:
            self.login_form = import_string("django_otp.admin.OTPAdminAuthenticationForm")

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether a user may see the desk: staff, with a second factor where it is required.

        A single sign-on provider sees to that itself.
        """
        if not super().has_permission(request) or not settings.SECOND_FACTOR:
            return super().has_permission(request)
        by_provider = request.session.get(BACKEND_SESSION_KEY) == "config.single_sign_on.Backend"
        return by_provider or bool(getattr(request.user, "is_verified", lambda: False)())

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the login, with the ways to the single sign-on provider and to a new password if there are any."""
        ours = {
            "single_sign_on": bool(settings.OIDC_RP_CLIENT_ID),
            "password_reset": settings.PASSWORD_RESET,
            "login_base": "otp/admin111/login.html" if settings.SECOND_FACTOR else "admin/login.html",
        }
        return super().login(request, ours | (extra_context or {}))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, (extra_context or {}) | needs_attention(request))

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Wrap a view: parameters that the database rejects give 400, not 500."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if _has_nul(request):
                raise SuspiciousOperation("A NUL in an address or a parameter.")
            try:
                return _rendered(inner(request, *args, **kwargs))
            except (DataError, ValidationError, ValueError) as error:
                if request.method != "GET" or not (request.GET or kwargs):
                    raise
                raise SuspiciousOperation("A parameter makes no sense.") from error

        return guarded

    def get_urls(self) -> list[URLResolver | URLPattern]:
        pages: list[URLResolver | URLPattern] = [
            path(f"{page.path}/", self.admin_view(self._view(page)), name=page.url_name) for page in PAGES
        ]
        runbook = self.admin_view(self._runbook)
        pages += [
            path("runbook/", runbook, name="runbook"),
            path("runbook/<str:alert>/", runbook, name="runbook_of"),
        ]
        return [*pages, *super().get_urls()]

    def _runbook(self, request: HttpRequest, alert: str = "") -> HttpResponse:
        return runbook_page(request, self.each_context(request), alert=alert)

    def _view(self, page: Page) -> Callable[[HttpRequest], HttpResponse]:
        def view(request: HttpRequest) -> HttpResponse:
            if not request.user.has_perm(page.permission):
                raise PermissionDenied
            return page.view(request, self.each_context(request) | {"title": page.title})

        return view

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = {app["app_label"]: app for app in super().get_app_list(request, app_label)}
        for page in PAGES:
            if app_label in (None, page.app_label) and request.user.has_perm(page.permission):
                app = apps.setdefault(page.app_label, _app_without_models(page))
                app["models"].append(_entry(page))
        return sorted(apps.values(), key=_place)


def _has_nul(request: HttpRequest) -> bool:
    """Whether the request holds a NUL, which PostgreSQL rejects."""
    given = [
        request.path_info,
        *request.GET,
        *(value for values in request.GET.lists() for value in values[1]),
    ]
    return any("\0" in text for text in given)


def _rendered(response: HttpResponse) -> HttpResponse:
    """Render now, so that a change list's queries run here."""
    return response.render() if isinstance(response, TemplateResponse) else response


def needs_attention(request: HttpRequest) -> dict[str, Any]:
    """Return what needs attention and the user may view."""
    now = database_now()
    found: dict[str, Any] = {"demo": settings.DEMO, "now": now}
    if request.user.has_perm("orders.view_order"):
        found["groups"] = stuck_reasons.groups()
        found["attention"] = sum(group.orders for group in found["groups"] if group.needs_person)
        found["backlog"] = stats.backlog()
        found["may"] = {name: may_operate(request.user, name) for name in ("retry", "cancel")}
        found["assigned"] = assigned_to(int(request.user.pk or 0))
        found["saved_filters"] = SavedFilter.objects.filter(user_id=int(request.user.pk or 0))
    if request.user.has_perm("inventory.view_product"):
        found["scarce"] = running_low()
        found["overwritten"] = overwritten.of_user(request.user.get_username(), now=now)
    if request.user.has_perm(SEE_PAYMENTS):
        found["sums_at_risk"] = money_at_risk.sums_at_risk()
    return found


def _place(app: dict[str, Any]) -> tuple[int, str]:
    label = app["app_label"]
    return FIRST.index(label) if label in FIRST else len(FIRST), app["name"].lower()


def _app_without_models(page: Page) -> dict[str, Any]:
    return {
        "name": page.app_name,
        "app_label": page.app_label,
        "app_url": reverse(f"admin:{page.url_name}"),
        "has_module_perms": True,
        "models": [],
    }


def _entry(page: Page) -> dict[str, Any]:
    return {
        "name": page.title,
        "object_name": page.url_name,
        "perms": {"add": False, "change": False, "delete": False, "view": True},
        "admin_url": reverse(f"admin:{page.url_name}"),
        "add_url": None,
        "view_only": True,
    }
