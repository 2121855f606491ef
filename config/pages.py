"""The list of what the API has, and how to get a token."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.exceptions import Throttled
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config import errors
from orders.problems import Problem
from orders.schema import refusals
from orders.throttling import LoginThrottle

# Where things are, for people and programs.
PLACES = {
    "orders": "/api/orders",
    "inventory": "/api/inventory",
    "notifications": "/api/notifications",
    "analytics": "/api/analytics",
    "webhooks": "/api/webhooks",
    "status": "/api/system/status",
    "metrics": "/api/system/metrics",
    "token": "/api/token",
    "schema": "/api/schema",
    "asyncapi": "/api/asyncapi.yaml",
    "swagger": "/swagger",
    "redoc": "/redoc",
    "health": "/health",
    "admin": "/admin/",
}


@require_safe
def asyncapi(_: HttpRequest) -> HttpResponse:
    """Answer with the description of the WebSockets' messages."""
    return HttpResponse(
        (settings.BASE_DIR / "docs" / "asyncapi.yaml").read_bytes(), content_type="application/yaml"
    )


def throttled_login(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Let an address try only so many passwords at a page with a form, as at `TokenView`."""

    @wraps(view)
    def login(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        throttle = LoginThrottle()
        try:
            if request.method == "POST" and not throttle.allow_request(Request(request), None):
                return errors.response_to(Throttled(wait=throttle.wait()))
        except Problem as problem:
            return errors.response_to(problem)
        return view(request, *args, **kwargs)

    return login


class ApiRoot(APIView):
    """What the API has, and where."""

    permission_classes = [AllowAny]

    @extend_schema(
        tags=["api"],
        operation_id="list_places",
        summary="List what there is",
        responses={200: {"type": "object", "additionalProperties": {"type": "string", "format": "uri"}}},
    )
    def get(self, request: Request) -> Response:
        """List the addresses of what there is."""
        return Response({name: request.build_absolute_uri(path) for name, path in PLACES.items()})


class TokenAnswer(serializers.Serializer[Any]):
    """A token, to be sent as `Authorization: Token …`."""

    token = serializers.CharField()


class TokenView(APIView):
    """Exchanges a user name and a password for a token."""

    authentication_classes = []
    permission_classes = [AllowAny]
    throttle_classes = [LoginThrottle]

    @extend_schema(
        tags=["api"],
        operation_id="get_token",
        summary="Get a token for a user name and a password",
        request=AuthTokenSerializer,
        responses={200: OpenApiResponse(TokenAnswer, description="Send it as `Authorization: Token …`.")}
        | refusals(_400="required blank authorization malformed_json"),
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Return the account's token."""
        serializer = AuthTokenSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        token, _ = Token.objects.get_or_create(user=serializer.validated_data["user"])
        return Response({"token": token.key})
