"""Tickets for the live feed: of an account, or of one order."""

from datetime import datetime

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.permissions import user_of
from api.problems import Problem
from api.requests import Body, Nothing, read
from api.responses import Answer
from api.schema import REFERENCE, refusals
from live import access, tickets
from orders import queries
from orders.http import links
from orders.permissions import OwnerOrOperator
from scheduling.slots import database_now


class Ticket(Answer):
    """Opens one socket, once: `/ws/orders?ticket=…`."""

    ticket: str
    expires_in: int  # seconds


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
        """Issue a ticket for this request's login."""
        read(request.data, Nothing)
        try:
            ticket = tickets.issue(access.of_request(request))
        except tickets.NoTickets:
            message = "Tickets cannot be issued just now. Try again."
            raise Problem("temporarily_unavailable", message, status_code=503, retry_after=1) from None
        body = Ticket(ticket=ticket, expires_in=tickets.SECONDS)
        return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class OrderTicket(Answer):
    """Opens sockets of one order until it expires: `/ws/orders/<order>?ticket=…`."""

    ticket: str
    order_id: int
    expires_at: datetime
    renewable_until: datetime


class RenewableTicket(Body):
    """A ticket of one order, also an expired one that is still renewable."""

    ticket: str


class TicketsOfOrder(APIView):
    """Tickets of one order, and their end."""

    permission_classes = [IsAuthenticated, OwnerOrOperator]

    @extend_schema(
        tags=["orders"],
        operation_id="create_order_ticket",
        summary="Get a ticket for the live messages of one order",
        description=(
            "For the page of a shop whose customers have no account: hand the ticket to the page. It opens"
            " `/ws/orders/<order>?ticket=…`, `/ws/orders` and `/orderHub` for 15 minutes, as often as needed, and"
            " reveals this order only. `POST /api/live/tickets/renew` renews it without an account."
        ),
        request=Nothing,
        parameters=[REFERENCE],
        responses={201: OrderTicket} | refusals(_403="permission_denied", _404="not_found"),
    )
    def post(self, request: Request, reference: str) -> Response:
        """Issue a ticket."""
        order = queries.by_reference(user_of(request), reference)
        self.check_object_permissions(request, order)
        read(request.data, Nothing)
        return _answer_with(links.live_ticket(order, now=database_now()))

    @extend_schema(
        tags=["orders"],
        operation_id="revoke_order_links",
        summary="Revoke every ticket and track link of one order",
        description="New ones can be signed at once. Open sockets close within a minute.",
        parameters=[REFERENCE],
        responses={204: OpenApiResponse(description="Revoked.")}
        | refusals(_403="permission_denied", _404="not_found"),
    )
    def delete(self, request: Request, reference: str) -> Response:
        """Revoke those signed before."""
        order = queries.by_reference(user_of(request), reference)
        self.check_object_permissions(request, order)
        links.revoke(order)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RenewOrderTicket(APIView):
    """Renewal of tickets of one order."""

    permission_classes = [AllowAny]

    @extend_schema(
        tags=["orders"],
        operation_id="renew_order_ticket",
        summary="Renew a ticket of one order",
        description=(
            "Needs no account: the ticket itself is the proof. Call it before each reconnect. Expired tickets are"
            " renewable until `renewableUntil`; revoked ones are not."
        ),
        request=RenewableTicket,
        responses={201: OrderTicket}
        | refusals(_400="malformed_json required unknown_field wrong_type", _403="invalid_ticket"),
        auth=[],
    )
    def post(self, request: Request) -> Response:
        """Issue a fresh ticket for the same order."""
        given, now = read(request.data, RenewableTicket).ticket, database_now()
        try:
            link = links.read(given, now=now, renewing=True)
            fresh = links.renew(link, now=now)
            links.order_of(link)
        except links.InvalidLink:
            message = "The ticket is invalid, revoked, or no longer renewable."
            raise Problem("invalid_ticket", message, field="ticket", status_code=403) from None
        return _answer_with(fresh)


def _answer_with(link: links.Link) -> Response:
    body = OrderTicket(
        ticket=link.sign(),
        order_id=link.order_id,
        expires_at=links.moment(link.expires_at),
        renewable_until=links.moment(link.renewable_until),
    )
    return Response(body, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})
