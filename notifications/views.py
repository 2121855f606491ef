"""The HTTP side of notifications, and of the live feed."""

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.pagination import PAGE_PARAMETERS, newest_first
from api.problems import Problem
from api.schema import refusals
from live import access, tickets
from notifications import serializers
from notifications.delivery import resend
from notifications.models import Notification
from notifications.serializers import NotificationBody, NotificationPage, Ticket
from orders.http.requests import Nothing, read
from orders.operators.views import staff_with

LARGEST_ID = 2**63 - 1


def visible_to(user: User) -> QuerySet[Notification]:
    """Return the notifications a user may see: staff who may see any all of them, a customer their own."""
    notifications = Notification.objects.select_related("order")
    sees_all = user.is_staff and user.has_perm("notifications.view_notification")
    return notifications if sees_all else notifications.filter(owner_id=user.pk)


class Notifications(APIView):
    """What customers were told."""

    @extend_schema(
        tags=["notifications"],
        operation_id="list_notifications",
        summary="List notifications, the newest first",
        parameters=PAGE_PARAMETERS,
        responses={200: NotificationPage} | refusals(_400="invalid_parameter"),
    )
    def get(self, request: Request) -> Response:
        """List one's own; staff with the permission to see notifications see all."""
        rows, following = newest_first(request, visible_to(_user(request)))
        return Response(NotificationPage(next=following, results=[serializers.body(row) for row in rows]))


READ = extend_schema(
    tags=["notifications"],
    request=Nothing,
    parameters=[OpenApiParameter("notification_id", OpenApiTypes.INT64, OpenApiParameter.PATH)],
    responses={200: OpenApiResponse(NotificationBody, description="As it is now.")}
    | refusals(_404="not_found"),
)


class ReadNotification(APIView):
    """A notification that somebody has read."""

    @READ
    @extend_schema(operation_id="read_notification", summary="Note that a notification was read")
    def post(self, request: Request, notification_id: int) -> Response:
        """Note it; the first time counts."""
        found = visible_to(_user(request)).filter(pk=min(notification_id, LARGEST_ID))
        if not found:
            raise Problem("not_found", "There is no such notification.", status_code=404)
        read(request.data, Nothing)
        found.update(read_at=Coalesce("read_at", Now()))
        return Response(serializers.body(found.get()))

    @READ
    @extend_schema(operation_id="update_notification_read", summary="The same as POST")
    def patch(self, request: Request, notification_id: int) -> Response:
        """Note it; the first time counts."""
        return self.post(request, notification_id)


class SendAgain(APIView):
    """An e-mail that is to be sent once more."""

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
        """Have it sent; one that was sent before is another message."""
        read(request.data, Nothing)
        found = Notification.objects.select_related("order").filter(pk=min(notification_id, LARGEST_ID))
        if not found:
            raise Problem("not_found", "There is no such notification.", status_code=404)
        if not resend(found, user_id=_user(request).pk):
            message = "It was no e-mail, or it is being sent already."
            raise Problem("not_possible", message, status_code=409)
        return Response(serializers.body(found.get()))


class Tickets(APIView):
    """Tickets for the live feed."""

    @extend_schema(
        tags=["notifications"],
        operation_id="create_live_ticket",
        summary="Get a ticket that opens one live socket",
        description=(
            "For clients that can send neither header nor cookie with their WebSocket. The ticket works once,"
            " within 30 seconds: `/ws/orders?ticket=…`, `/ws/orders/<order>?ticket=…`."
        ),
        request=Nothing,
        responses={201: Ticket},
    )
    def post(self, request: Request) -> Response:
        """Issue a ticket that stands for the login of this request."""
        read(request.data, Nothing)
        try:
            ticket = tickets.issue(access.of_request(request))
        except tickets.NoTickets:
            message = "Tickets cannot be issued just now. Try again."
            raise Problem("temporarily_unavailable", message, status_code=503, retry_after=1) from None
        body = Ticket(ticket=ticket, expires_in=tickets.SECONDS)
        return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


def _user(request: Request) -> User:
    assert isinstance(request.user, User)
    return request.user
