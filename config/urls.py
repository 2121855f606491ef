"""URLs of the HTTP side."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from config import error_pages, errors, pages, token_views
from config.description import Schema
from live import signalr
from live.views import TicketsOfOrder
from orders import queries
from orders.http.payment_webhooks import PaymentWebhook
from orders.operators.views import MoneyAtRisk
from orders.reporting.views import SalesAnalytics, SalesTable
from payments.views import Transactions

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/orders", include("orders.http.urls")),  # first: most requests match here
    path("api/orders/<str:reference>/ticket", TicketsOfOrder.as_view(), name="order-ticket"),
    path("", include("board.urls")),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}board/icon.svg")),
    path("api", pages.ApiRoot.as_view(), name="api"),
    path("api/token", token_views.Login.as_view(), name="token"),
    path("api/tokens", token_views.Tokens.as_view(), name="tokens"),
    path("api/tokens/<int:token_id>", token_views.OneToken.as_view(), name="one-token"),
    path(
        "api/login/login/",
        pages.throttled_login(LoginView.as_view(template_name="login.html", next_page="/")),
    ),
    path("api/login/", include("rest_framework.urls")),
    path("api/payments/at-risk", MoneyAtRisk.as_view(), name="money-at-risk"),
    path(
        "api/payments/transactions",
        Transactions.as_view(find_order=lambda reference: queries.any_by_reference(reference).pk),
        name="transactions",
    ),
    path("api/payments/webhook", PaymentWebhook.as_view(), name="payment-webhook"),
    path("api/payments/webhook/<slug:name>", PaymentWebhook.as_view(), name="payment-webhook-of"),
    path("api/analytics", SalesAnalytics.as_view(), name="analytics"),
    path("api/analytics.csv", SalesTable.as_view(), name="analytics-table"),
    path("api/inventory", include("inventory.urls")),
    path("api/shipping", include("shipping.urls")),
    path("api/notifications", include("notifications.urls")),
    path("api/webhooks", include("notifications.webhook_urls")),
    path("api/live", include("live.urls")),
    path("orderHub/negotiate", signalr.negotiate, name="negotiate"),
    path("api/schema", Schema.as_view(), name="schema"),
    path("api/asyncapi.yaml", pages.asyncapi, name="asyncapi"),
    path("swagger", pages.Swagger.as_view(url_name="schema"), name="swagger"),
    path("redoc", pages.Redoc.as_view(url_name="schema"), name="redoc"),
    path("redoc.js", pages.redoc_script, name="redoc-script"),
    path("errors/<slug:code>", error_pages.error_page, name="error-code"),
    path("", include("monitoring.urls")),
    path("password/reset/", include("config.passwords")),
    path("admin/login/", pages.throttled_login(admin.site.login)),
    path("admin/", admin.site.urls),
    re_path(r"^api(/.*)?$", errors.api_not_found),
]

if settings.OIDC_RP_CLIENT_ID:
    urlpatterns.append(path("oidc/", include("mozilla_django_oidc.urls")))

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.not_found
handler500 = errors.server_error
