"""What the board asks for over HTTP."""

from typing import Annotated, Literal

from django.contrib.auth.models import User
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import Meta
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.problems import Problem
from api.schema import refusals
from api.validators import check_text
from board import cards, demo
from board.cards import MAX_CARDS_AT_ONCE, Cards, Snapshot
from board.series import SERIES, SeriesAnswer
from board.viewers import InDemo, SeesTheShop
from orders.http.requests import LARGEST_ID, Body, read
from orders.http.responses import Answer

MAX_ORDERS_AT_ONCE = 1000
LONGEST_SEARCH = 100
SEARCHED = {"type": "string", "maxLength": LONGEST_SEARCH, "pattern": r"\S"}


def user_of(request: Request) -> User:
    """Return who is asking; the permissions have seen to it that somebody is."""
    assert isinstance(request.user, User)
    return request.user


class Board(APIView):
    """All lanes at one moment."""

    @extend_schema(
        tags=["board"],
        operation_id="get_board",
        summary="Get the live board: its lanes, and where in the journal to go on",
        description="Then follow `/ws/orders?after=<position>`; events up to what `counted` says are in it.",
        responses={200: Snapshot},
    )
    def get(self, request: Request) -> Response:
        """Get the board with the orders you may see."""
        return Response(cards.snapshot(user_of(request)), headers={"Cache-Control": "no-store"})


class CardsByIds(APIView):
    """Some orders as cards."""

    @extend_schema(
        tags=["board"],
        operation_id="get_cards",
        summary="Get some orders as the board's cards",
        parameters=[
            OpenApiParameter(
                "ids",
                {
                    "type": "string",
                    "pattern": f"^[0-9]{{1,19}}(,[0-9]{{1,19}}){{0,{MAX_CARDS_AT_ONCE - 1}}}$",
                },
                required=True,
                description=f"Ids with commas between them, at most {MAX_CARDS_AT_ONCE}.",
            )
        ],
        responses={200: Cards} | refusals(_400="invalid_parameter"),
    )
    def get(self, request: Request) -> Response:
        """Get those of the orders that you may see."""
        return Response(cards.cards_of(user_of(request), _ids(request.query_params.get("ids", ""))))


def _ids(text: str) -> list[int]:
    words = text.split(",")
    are_numbers = all(word.isascii() and word.isdigit() and len(word) < 20 for word in words)
    if not are_numbers or len(words) > MAX_CARDS_AT_ONCE:
        message = f"Ids with commas between them, at most {MAX_CARDS_AT_ONCE}."
        raise Problem("invalid_parameter", message, field="ids")
    return [min(int(word), LARGEST_ID) for word in words]


class Search(APIView):
    """Finding orders."""

    @extend_schema(
        tags=["board"],
        operation_id="search_orders",
        summary="Find orders by number, id, UUID, customer or e-mail address",
        parameters=[OpenApiParameter("q", SEARCHED, required=True)],
        responses={200: Cards} | refusals(_400="invalid_parameter control_characters card_number_refused"),
    )
    def get(self, request: Request) -> Response:
        """Find the newest orders that are meant."""
        text = request.query_params.get("q", "")
        check_text(text, field="q")
        if not text.strip() or len(text) > LONGEST_SEARCH:
            raise Problem("invalid_parameter", f"1 to {LONGEST_SEARCH} characters.", field="q")
        return Response(cards.search(user_of(request), text.strip()))


class Series(APIView):
    """The last minutes."""

    permission_classes = [IsAuthenticated, SeesTheShop]

    @extend_schema(
        tags=["board"],
        operation_id="get_series",
        summary="Get the last five minutes as series: rates, time to confirm, backlog (staff)",
        responses={200: SeriesAnswer} | refusals(_403="permission_denied"),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - the same for all
        """Get the series."""
        return Response(SERIES.get(), headers={"Cache-Control": "no-store"})


# --- Only in a demo ---------------------------------------------------------------------------------------


class DemoOrders(Body):
    """Orders to place: how many, and what they are to show."""

    count: Annotated[int, Meta(ge=1, le=MAX_ORDERS_AT_ONCE)] = 1
    kind: Literal["good", "declined", "unshippable", "out_of_stock", "held", "mixed"] = "good"


class DemoOrdersPlaced(Answer):
    """Orders that were placed."""

    placed: int
    first_id: int
    last_id: int


class PlaceDemoOrders(APIView):
    """Customers, by the thousand."""

    permission_classes = [IsAuthenticated, InDemo]

    @extend_schema(
        tags=["board"],
        operation_id="place_demo_orders",
        summary="Place up to 1,000 orders (only in a demo)",
        request=DemoOrders,
        responses={201: DemoOrdersPlaced}
        | refusals(
            _400="malformed_json unknown_field wrong_type too_small too_large invalid",
            _403="permission_denied",
            _409="nothing_to_sell",
        ),
    )
    def post(self, request: Request) -> Response:
        """Place them in the name of who asks."""
        wanted = read(request.data, DemoOrders)
        try:
            placed = demo.place_demo_orders(user_of(request), count=wanted.count, kind=wanted.kind)
        except demo.NothingToSell:
            raise Problem("nothing_to_sell", "There are no products to order.", status_code=409) from None
        body = DemoOrdersPlaced(placed=len(placed), first_id=placed[0], last_id=placed[-1])
        return Response(body, status=status.HTTP_201_CREATED)


class Trouble(Body):
    """What is done to the payment provider."""

    payments: Literal["none", "decline", "slow", "timeout", "down"]


class TroubleNow(Answer):
    """What is done to the payment provider; `other` if somebody wrote a script of their own."""

    payments: str


class BreakPayments(APIView):
    """The payment provider of the demo, to be broken on purpose."""

    permission_classes = [IsAuthenticated, InDemo]

    @extend_schema(
        tags=["board"],
        operation_id="get_trouble",
        summary="Tell how the payment provider was broken (only in a demo)",
        responses={200: TroubleNow} | refusals(_403="permission_denied", _503="sandbox_unreachable"),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """Tell it."""
        try:
            return Response(TroubleNow(payments=demo.trouble()))
        except demo.SandboxUnreachable:
            raise _unreachable() from None

    @extend_schema(
        tags=["board"],
        operation_id="make_trouble",
        summary="Break the payment provider, or mend it (only in a demo)",
        request=Trouble,
        responses={200: OpenApiResponse(TroubleNow, description="So it is from now on.")}
        | refusals(
            _400="malformed_json required unknown_field wrong_type invalid",
            _403="permission_denied",
            _503="sandbox_unreachable",
        ),
    )
    def put(self, request: Request) -> Response:
        """Break it."""
        wanted = read(request.data, Trouble).payments
        try:
            demo.make_trouble(wanted)
        except demo.SandboxUnreachable:
            raise _unreachable() from None
        return Response(TroubleNow(payments=wanted))


def _unreachable() -> Problem:
    message = "The sandbox, which plays the payment provider, does not answer."
    return Problem("sandbox_unreachable", message, status_code=503, retry_after=2)
