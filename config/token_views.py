"""API tokens over HTTP: issue, list, revoke."""

from datetime import datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import tokens
from accounts.models import ApiToken
from api.authentication import forget_token
from api.permissions import user_of
from api.problems import Problem
from api.responses import Answer
from api.schema import refusals
from api.throttling import LoginThrottle
from scheduling.slots import database_now

LARGEST_ID = 2**63 - 1


class AuthToken(AuthTokenSerializer):
    """User name, password, and the token's purpose."""

    name = serializers.CharField(
        max_length=100, required=False, allow_blank=True, default="", help_text="What the token is for."
    )


class IssuedToken(Answer):
    """A new token, sent as `Authorization: Bearer …`. It is shown only once."""

    token: str
    id: int
    name: str
    expires_at: datetime | None


class TokenEntry(Answer):
    """A token of the user, without its secret."""

    id: int
    name: str
    hint: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    current: bool


class TokenList(Answer):
    """The user's tokens, newest first."""

    results: list[TokenEntry]


class Login(APIView):
    """Exchanges user name and password for a token."""

    is_login = True
    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    throttle_classes = [LoginThrottle]

    @extend_schema(
        tags=["api"],
        operation_id="get_token",
        summary="Get a token for a user name and a password",
        description="A new one each time. It ends when it expires, is revoked, or the password changes.",
        request=AuthToken,
        responses={200: OpenApiResponse(IssuedToken, description="Send it as `Authorization: Bearer …`.")}
        | refusals(_400="required too_short too_long malformed_json", _401="invalid_credentials"),
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Issue a new token."""
        serializer = AuthToken(data=request.data, context={"request": request})
        _validate(serializer)
        given = serializer.validated_data
        end = tokens.default_end(database_now())
        stored, token = tokens.issue(given["user"], name=given["name"], expires_at=end)
        return Response(IssuedToken(token=token, id=stored.pk, name=stored.name, expires_at=end))


def _validate(serializer: AuthToken) -> None:
    """Raise ValidationError for a body, Problem for credentials that are not accepted."""
    if serializer.is_valid():
        return
    refused = serializer.errors.get("non_field_errors", [])
    if any(each.code == "authorization" for each in refused):
        message = "This user name and this password are not accepted."
        raise Problem("invalid_credentials", message, status_code=status.HTTP_401_UNAUTHORIZED)
    raise serializers.ValidationError(serializer.errors)


class Tokens(APIView):
    """The user's tokens."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        tags=["api"],
        operation_id="list_tokens",
        summary="List your own API tokens that are valid",
        responses={200: TokenList},
    )
    def get(self, request: Request) -> Response:
        """Return the user's valid tokens."""
        current = getattr(request.auth, "token_id", None)
        found = tokens.valid_tokens(user_of(request))
        return Response(TokenList(results=[_entry(token, current=current) for token in found]))


class OneToken(APIView):
    """One of the user's tokens."""

    permission_classes = [IsAuthenticated]

    @extend_schema(
        tags=["api"],
        operation_id="revoke_token",
        summary="Revoke one of your own API tokens",
        parameters=[OpenApiParameter("token_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
        responses={204: OpenApiResponse(description="The token is revoked.")} | refusals(_404="not_found"),
    )
    def delete(self, request: Request, token_id: int) -> Response:
        """Revoke the token; other processes may cache it for two more seconds."""
        found = ApiToken.objects.filter(user=user_of(request), pk=min(token_id, LARGEST_ID))
        token = found.first()
        if token is None:
            raise Problem("not_found", "There is no such token.", status_code=status.HTTP_404_NOT_FOUND)
        tokens.revoke(found)
        forget_token(token.digest)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _entry(token: ApiToken, *, current: int | None) -> TokenEntry:
    return TokenEntry(
        id=token.pk,
        name=token.name,
        hint=token.hint,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        current=token.pk == current,
    )
