"""Notifications API."""

from datetime import UTC, datetime

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.deprecation import deprecation_headers
from api.pagination import PAGE_PARAMETERS, newest_first
from api.permissions import staff_with, user_of
from api.problems import Problem
from api.requests import Nothing, read
from api.schema import refusals
from notifications import serializers
from notifications.delivery import resend
from notifications.models import Notification
from notifications.serializers import NotificationBody, NotificationPage

LARGEST_ID = 2**63 - 1
# Of PATCH beside POST.
SINCE, SUNSET = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 12, 1, tzinfo=UTC)


def visible_to(user: User) -> QuerySet[Notification]:
    """Return a user's own notifications; with the permission, all."""
    notifications = Notification.objects.select_related("order")
    sees_all = user.is_staff and user.has_perm("notifications.view_notification")
    return notifications if sees_all else notifications.filter(owner_id=user.pk)


class Notifications(APIView):
    """Notifications of customers."""

    @extend_schema(
        tags=["notifications"],
        operation_id="list_notifications",
        summary="List notifications, the newest first",
        parameters=PAGE_PARAMETERS,
        responses={200: NotificationPage} | refusals(_400="invalid_parameter"),
    )
    def get(self, request: Request) -> Response:
        """List the user's own; staff with permission see all."""
        rows, following = newest_first(request, visible_to(user_of(request)))
        return Response(NotificationPage(next=following, results=[serializers.body(row) for row in rows]))


READ = extend_schema(
    tags=["notifications"],
    request=Nothing,
    parameters=[OpenApiParameter("notification_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
    responses={200: OpenApiResponse(NotificationBody, description="As it is now.")}
    | refusals(_403="permission_denied", _404="not_found"),
)


def _may_mark_read(user: User, notification: Notification) -> bool:
    may_change = user.is_staff and user.has_perm("notifications.change_notification")
    return notification.owner_id == user.pk or may_change


class ReadNotification(APIView):
    """Marks a notification as read."""

    @READ
    @extend_schema(operation_id="read_notification", summary="Note that a notification was read")
    def post(self, request: Request, notification_id: int) -> Response:
        """Mark as read; only the first time counts."""
        found = visible_to(user_of(request)).filter(pk=min(notification_id, LARGEST_ID))
        if not found:
            raise Problem("not_found", "There is no such notification.", status_code=404)
        if not _may_mark_read(user_of(request), found.get()):
            raise PermissionDenied("Only who was told, or staff who may change notifications, may do this.")
        read(request.data, Nothing)
        found.update(read_at=Coalesce("read_at", Now()))
        return Response(serializers.body(found.get()))

    @READ
    @extend_schema(
        operation_id="update_notification_read",
        summary="Note that a notification was read; use POST",
        deprecated=True,
    )
    def patch(self, request: Request, notification_id: int) -> Response:
        """Mark as read; only the first time counts."""
        response = self.post(request, notification_id)
        for name, value in deprecation_headers(SINCE, sunset=SUNSET).items():
            response[name] = value
        return response


class SendAgain(APIView):
    """Resends an e-mail."""

    permission_classes = [staff_with("notifications.change_notification")]

    @extend_schema(
        tags=["notifications"],
        operation_id="send_notification_again",
        summary="Have an e-mail sent once more (staff)",
        request=Nothing,
        parameters=[OpenApiParameter("notification_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
        responses={200: OpenApiResponse(NotificationBody, description="As it is now.")}
        | refusals(_403="permission_denied", _404="not_found", _409="not_possible"),
    )
    def post(self, request: Request, notification_id: int) -> Response:
        """Resend it; one already sent becomes a new message."""
        read(request.data, Nothing)
        found = Notification.objects.select_related("order").filter(pk=min(notification_id, LARGEST_ID))
        if not found:
            raise Problem("not_found", "There is no such notification.", status_code=404)
        if not resend(found, user_id=user_of(request).pk):
            message = "It was no e-mail, or it is being sent already."
            raise Problem("not_possible", message, status_code=409)
        return Response(serializers.body(found.get()))
