"""The board's API."""

from typing import Annotated, Literal

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import Meta
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.permissions import user_of
from api.problems import Problem
from api.requests import LARGEST_ID, Body, read
from api.responses import Answer
from api.schema import refusals
from api.validators import check_text
from board import cards, demo
from board.cards import MAX_CARDS_AT_ONCE, Cards, Snapshot
from board.series import SERIES, SeriesAnswer
from board.viewers import InDemo, SeesTheShop

MAX_ORDERS_AT_ONCE = 1000
LONGEST_SEARCH = 100
SEARCHED = {"type": "string", "maxLength": LONGEST_SEARCH, "pattern": r"\S"}


class Board(APIView):
    """All lanes at one moment."""

    read_cost = 20

    @extend_schema(
        tags=["board"],
        operation_id="get_board",
        summary="Get the live board: lanes and journal position",
        description="Resume at `/ws/orders?after=<position>`; events up to the sequences in `counted` are included.",
        responses={200: Snapshot},
    )
    def get(self, request: Request) -> Response:
        """Return the board with the orders that you may see."""
        return Response(cards.snapshot(user_of(request)), headers={"Cache-Control": "no-store"})


class CardsByIds(APIView):
    """Orders as cards."""

    read_cost = 2

    @extend_schema(
        tags=["board"],
        operation_id="get_cards",
        summary="Get orders as cards",
        parameters=[
            OpenApiParameter(
                "ids",
                {
                    "type": "string",
                    "pattern": f"^[0-9]{{1,19}}(,[0-9]{{1,19}}){{0,{MAX_CARDS_AT_ONCE - 1}}}$",
                },
                required=True,
                description=f"Comma-separated ids, at most {MAX_CARDS_AT_ONCE}.",
            )
        ],
        responses={200: Cards} | refusals(_400="invalid_parameter"),
    )
    def get(self, request: Request) -> Response:
        """Return the orders among these that you may see."""
        return Response(cards.cards_of(user_of(request), _ids(request.query_params.get("ids", ""))))


def _ids(text: str) -> list[int]:
    words = text.split(",")
    are_numbers = all(word.isascii() and word.isdigit() and len(word) < 20 for word in words)
    if not are_numbers or len(words) > MAX_CARDS_AT_ONCE:
        message = f"Comma-separated ids, at most {MAX_CARDS_AT_ONCE}."
        raise Problem("invalid_parameter", message, field="ids")
    return [min(int(word), LARGEST_ID) for word in words]


class Search(APIView):
    """Search of orders."""

    read_cost = 10

    @extend_schema(
        tags=["board"],
        operation_id="search_orders",
        summary="Search orders by number, id, UUID, customer or e-mail address",
        parameters=[OpenApiParameter("q", SEARCHED, required=True)],
        responses={200: Cards} | refusals(_400="invalid_parameter control_characters card_number_refused"),
    )
    def get(self, request: Request) -> Response:
        """Return the newest matching orders."""
        text = request.query_params.get("q", "")
        check_text(text, field="q")
        if not text.strip() or len(text) > LONGEST_SEARCH:
            raise Problem("invalid_parameter", f"1 to {LONGEST_SEARCH} characters.", field="q")
        return Response(cards.search(user_of(request), text.strip()))


class Series(APIView):
    """The last minutes."""

    read_cost = 2
    permission_classes = [IsAuthenticated, SeesTheShop]

    @extend_schema(
        tags=["board"],
        operation_id="get_series",
        summary="Get rates, time to confirm and backlog of the last five minutes (staff)",
        responses={200: SeriesAnswer} | refusals(_403="permission_denied"),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002 - the same for all
        """Return the series."""
        return Response(SERIES.get(), headers={"Cache-Control": "no-store"})


# --- Demo mode only ---------------------------------------------------------------------------------------


class DemoOrders(Body):
    """Orders to place: how many, and of which kind."""

    count: Annotated[int, Meta(ge=1, le=MAX_ORDERS_AT_ONCE)] = 1
    kind: Literal["good", "declined", "unshippable", "out_of_stock", "held", "mixed"] = "good"


class DemoOrdersPlaced(Answer):
    """Orders that were placed."""

    placed: int
    first_id: int
    last_id: int


class PlaceDemoOrders(APIView):
    """Demo orders."""

    permission_classes = [IsAuthenticated, InDemo]

    @extend_schema(
        tags=["board"],
        operation_id="place_demo_orders",
        summary="Place up to 1,000 demo orders (demo only)",
        request=DemoOrders,
        responses={201: DemoOrdersPlaced}
        | refusals(
            _400="malformed_json unknown_field wrong_type too_small too_large invalid",
            _403="permission_denied",
            _409="nothing_to_sell",
        ),
    )
    def post(self, request: Request) -> Response:
        """Place orders as the current user."""
        wanted = read(request.data, DemoOrders)
        try:
            placed = demo.place_demo_orders(user_of(request), count=wanted.count, kind=wanted.kind)
        except demo.NothingToSell:
            raise Problem("nothing_to_sell", "No products to order.", status_code=409) from None
        body = DemoOrdersPlaced(placed=len(placed), first_id=placed[0], last_id=placed[-1])
        return Response(body, status=status.HTTP_201_CREATED)


class Trouble(Body):
    """A fault of the payment provider."""

    payments: Literal["none", "decline", "slow", "timeout", "down"]


class TroubleNow(Answer):
    """The active fault of the payment provider; `other` for a custom script."""

    payments: str


class BreakPayments(APIView):
    """Faults of the demo's payment provider."""

    permission_classes = [IsAuthenticated, InDemo]

    @extend_schema(
        tags=["board"],
        operation_id="get_trouble",
        summary="Get the fault injected into the payment provider (demo only)",
        responses={200: TroubleNow} | refusals(_403="permission_denied", _503="sandbox_unreachable"),
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        """Return the active fault."""
        try:
            return Response(TroubleNow(payments=demo.trouble()))
        except demo.SandboxUnreachable:
            raise _unreachable() from None

    @extend_schema(
        tags=["board"],
        operation_id="make_trouble",
        summary="Inject a fault into the payment provider, or clear it (demo only)",
        request=Trouble,
        responses={200: OpenApiResponse(TroubleNow, description="The fault that is now active.")}
        | refusals(
            _400="malformed_json required unknown_field wrong_type invalid",
            _403="permission_denied",
            _503="sandbox_unreachable",
        ),
    )
    def put(self, request: Request) -> Response:
        """Inject a fault and return it."""
        wanted = read(request.data, Trouble).payments
        try:
            demo.make_trouble(wanted)
        except demo.SandboxUnreachable:
            raise _unreachable() from None
        return Response(TroubleNow(payments=wanted))


def _unreachable() -> Problem:
    message = "The sandbox payment provider is not responding."
    return Problem("sandbox_unreachable", message, status_code=503, retry_after=2)
