"""Payment transactions in the admin. Composite keys rule out Django's list."""

from collections.abc import Callable
from typing import Any

from django.db import OperationalError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse

from payments.models import Transaction, whole_orders

PAGE = 50
# Returns the order's id, if found.
OrderFinder = Callable[[str], int | None]


def transactions_page(
    request: HttpRequest, context: dict[str, Any], *, find_order: OrderFinder, hidden: QuerySet[Any]
) -> HttpResponse:
    """List transactions by latest order, except those of the `hidden` order ids."""
    chosen = request.GET
    try:
        found = _transactions(chosen, find_order).exclude(order_id__in=hidden)
        shown = whole_orders(found, page=PAGE)
        older = (
            shown[-1].order_id - 1 if shown and found.filter(order_id__lt=shown[-1].order_id).exists() else 0
        )
        trouble = ""
    except OperationalError:  # too few rows match
        shown, older, trouble = [], 0, "The query took too long. Filter by order or state to narrow it down."
    return TemplateResponse(
        request,
        "admin/payments/transactions.html",
        context
        | {
            "transactions": shown,
            "older": _query_before(chosen, older) if older else "",
            "trouble": trouble,
            "kinds": Transaction.Kind.choices,
            "states": Transaction.State.choices,
            "kind": chosen.get("kind", ""),
            "state": chosen.get("state", ""),
            "q": chosen.get("q", ""),
        },
    )


def _transactions(chosen: QueryDict, find_order: OrderFinder) -> QuerySet[Transaction]:
    transactions = Transaction.objects.order_by("-order_id", "number")
    if chosen.get("kind") in Transaction.Kind.values:
        transactions = transactions.filter(kind=chosen["kind"])
    if chosen.get("state") in Transaction.State.values:
        transactions = transactions.filter(state=chosen["state"])
    order = str(chosen.get("q", "")).strip()
    if order:
        transactions = transactions.filter(order_id=find_order(order) or 0)
    before = chosen.get("before", "")
    return (
        transactions.filter(order_id__lt=int(before))
        if before.isdigit() and len(before) < 19
        else transactions
    )


def _query_before(chosen: QueryDict, next_order: int) -> str:
    query = chosen.copy()
    query["before"] = str(next_order + 1)
    return query.urlencode()
