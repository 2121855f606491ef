"""Tickets for the live feed."""

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.problems import Problem
from api.requests import Nothing, read
from api.responses import Answer
from live import access, tickets


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
