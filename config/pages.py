"""The API's index and description pages."""

from collections.abc import Callable
from functools import cache, wraps
from importlib import resources
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularRedocView, SpectacularSwaggerSplitView
from rest_framework.exceptions import Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.problems import Problem
from api.throttling import LoginThrottle
from config import errors

# Entry points, for people and programs.
PLACES = {
    "orders": "/api/orders",
    "stuck": "/api/orders/stuck",
    "inventory": "/api/inventory",
    "shipping": "/api/shipping/zones",
    "transactions": "/api/payments/transactions",
    "moneyAtRisk": "/api/payments/at-risk",
    "notifications": "/api/notifications",
    "analytics": "/api/analytics",
    "webhooks": "/api/webhooks",
    "status": "/api/system/status",
    "metrics": "/api/system/metrics",
    "token": "/api/token",
    "tokens": "/api/tokens",
    "schema": "/api/schema",
    "asyncapi": "/api/asyncapi.yaml",
    "swagger": "/swagger",
    "redoc": "/redoc",
    "health": "/health",
    "admin": "/admin/",
}


@require_safe
def asyncapi(_: HttpRequest) -> HttpResponse:
    return HttpResponse(
        (settings.BASE_DIR / "docs" / "asyncapi.yaml").read_bytes(), content_type="application/yaml"
    )


def throttled_login(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Limit password attempts at a form, like `POST /api/token`."""

    @wraps(view)
    def login(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        throttle = LoginThrottle()
        try:
            if request.method == "POST" and not throttle.allow_request(Request(request), None):
                return _refused(request, Throttled(wait=throttle.wait()))
        except Problem as problem:
            return _refused(request, problem)
        return view(request, *args, **kwargs)

    login.is_login = True  # type: ignore[attr-defined]
    return login


def _refused(request: HttpRequest, error: Exception) -> HttpResponse:
    answer = errors.answer_to(error)
    context = {"message": answer.message, "retry_after": answer.headers.get("Retry-After")}
    page = render(request, "login_refused.html", context, status=answer.status)
    for name, value in answer.headers.items():
        page[name] = value
    return page


# Nothing from other hosts; both use inline styles, ReDoc a worker.
DESCRIPTION_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src 'self' blob:;"
    " object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class Redoc(SpectacularRedocView):
    """The API description in ReDoc."""

    template_name = "redoc.html"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the page."""
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response.data["redoc_standalone"] = reverse("redoc-script")
        response["Content-Security-Policy"] = DESCRIPTION_POLICY
        return response


class Swagger(SpectacularSwaggerSplitView):
    """The API description in Swagger UI."""

    template_name = "swagger.html"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the page or its script."""
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response["Content-Security-Policy"] = DESCRIPTION_POLICY
        return response


@require_safe
def redoc_script(_: HttpRequest) -> HttpResponse:
    """Return ReDoc's script without the logo of another host."""
    headers = {"Cache-Control": "public, max-age=86400"}
    return HttpResponse(_redoc_without_logo(), content_type="text/javascript", headers=headers)


REDOC = "static/drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js"
LOGO, NO_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,"


@cache
def _redoc_without_logo() -> bytes:
    return resources.files("drf_spectacular_sidecar").joinpath(REDOC).read_bytes().replace(LOGO, NO_LOGO)


class ApiRoot(APIView):
    """The API's index."""

    permission_classes = [AllowAny]

    @extend_schema(
        tags=["api"],
        operation_id="list_places",
        summary="List what there is",
        responses={200: {"type": "object", "additionalProperties": {"type": "string", "format": "uri"}}},
    )
    def get(self, request: Request) -> Response:
        """Return the API's entry points."""
        return Response({name: request.build_absolute_uri(path) for name, path in PLACES.items()})
