"""Staff API of payment transactions."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.pagination import CURSOR, address, whole
from api.permissions import FORBIDDEN, staff_with
from api.problems import Problem
from api.requests import LARGEST_ID
from api.responses import Answer
from api.schema import refusals
from iso.currencies import rounded
from payments.models import Transaction, whole_orders

# Finds by id, UUID or number; raises OrderNotFound.
FindOrder = Callable[[str], int]


class TransactionBody(Answer):
    """A payment transaction."""

    order_id: int
    kind: str
    state: str
    amount: Decimal
    currency: str
    provider_id: str | None
    code: str | None
    started_at: datetime
    finished_at: datetime | None


class TransactionPage(Answer):
    """Transactions, latest orders first."""

    next: str | None
    results: list[TransactionBody]


# Pages end between orders.
PAGE, KINDS, STATES = 100, Transaction.Kind.values, Transaction.State.values


class Transactions(APIView):
    """Payment transactions."""

    read_cost = 5
    permission_classes = [staff_with("payments.view_transaction")]
    # Injected by the URL configuration: payments know only order ids.
    find_order: FindOrder = staticmethod(lambda _reference: 0)

    @extend_schema(
        tags=["payments"],
        operation_id="list_transactions",
        summary="List what the payment provider was asked for, the latest orders' first (staff)",
        parameters=[
            OpenApiParameter("kind", OpenApiTypes.STR, enum=KINDS),
            OpenApiParameter("state", OpenApiTypes.STR, enum=STATES),
            OpenApiParameter("order", OpenApiTypes.STR, description="An order's id, UUID or number."),
            CURSOR,
        ],
        responses={200: OpenApiResponse(TransactionPage)}
        | refusals(_400="invalid_parameter", _404="not_found")
        | FORBIDDEN,
    )
    def get(self, request: Request) -> Response:
        """List transactions."""
        found = Transaction.objects.filter(**_conditions(request, self.find_order)).order_by(
            "-order_id", "number"
        )
        shown = whole_orders(found, page=PAGE)
        last = shown[-1].order_id if shown else 0
        following = address(request, cursor=last) if found.filter(order_id__lt=last).exists() else None
        return Response(TransactionPage(next=following, results=[_transaction(row) for row in shown]))


def _conditions(request: Request, find_order: FindOrder) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    for name, known in (("kind", KINDS), ("state", STATES)):
        if (value := request.query_params.get(name)) is not None:
            if value not in known:
                raise Problem("invalid_parameter", f"One of {', '.join(known)}.", field=name)
            conditions[name] = value
    if (reference := request.query_params.get("order")) is not None:
        conditions["order_id"] = find_order(reference)
    if "cursor" in request.query_params:
        conditions["order_id__lt"] = whole(request, "cursor", default=1, at_least=1, at_most=LARGEST_ID)
    return conditions


def _transaction(row: Transaction) -> TransactionBody:
    return TransactionBody(
        order_id=row.order_id,
        kind=row.kind,
        state=row.state,
        amount=rounded(row.amount, row.currency),
        currency=row.currency,
        provider_id=row.provider_id or None,
        code=row.code or None,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
