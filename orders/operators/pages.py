"""Order pages of the admin without a model."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from orders.operators import money_at_risk
from scheduling.slots import database_now


def money_at_risk_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(
        request,
        "admin/orders/money_at_risk.html",
        context
        | {"risks": money_at_risk.at_risk(), "sums": money_at_risk.sums_at_risk(), "now": database_now()},
    )
