"""Order pages of the admin without a model."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from api.problems import Problem
from iso.currencies import format_amount
from orders.commands import NotPossible
from orders.maintenance.restore import restored
from orders.models import Order
from orders.operators import capturing, money_at_risk, receiving, refunding
from orders.operators.capturing import CaptureForm
from orders.operators.receiving import PaymentForm
from orders.operators.refunding import RefundForm
from orders.payment.captures import AuthorizationExpired, CaptureUnderWay
from orders.refunding import crediting, parts, receipts
from orders.refunding.capturing import MoreThanHeld, preview
from orders.status import Status
from payments.expiry import expires_at
from payments.models import Transaction
from scheduling.slots import database_now


def money_at_risk_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(
        request,
        "admin/orders/money_at_risk.html",
        context
        | {"risks": money_at_risk.at_risk(), "sums": money_at_risk.sums_at_risk(), "now": database_now()},
    )


def shown_restored(order_id: int, view: Callable[[], HttpResponse]) -> HttpResponse:
    """Return a view of an archived order, which is restored for it; for good if the view refunds it."""
    with restored(order_id):
        response = view()
        return response.render() if isinstance(response, TemplateResponse) else response


# --- Refund of a part -------------------------------------------------------------------------------------

IN_WORDS = {
    "idempotency_key_reused": "This form was sent before, as another refund. Nothing more is refunded.",
    "in_progress": "This refund is under way already.",
}
CAPTURES_IN_WORDS = {
    "idempotency_key_reused": "This form was sent before, as another capture. Nothing more is captured.",
    "in_progress": "This capture is under way already.",
}


def refund_page(request: HttpRequest, context: dict[str, Any], order: Order) -> HttpResponse:
    """Show the form; its preview on POST; refund once the preview is confirmed."""
    step = request.POST.get("step", "")
    form = RefundForm(list(order.lines.all()), request.POST or None)
    try:
        if step == "refund" and form.is_valid() and (done := _refund(request, order, form)):
            return done
        # After the refund: a repeat gets the first answer whatever the order has become.
        parts.check(Status(order.journey.status))
    except (NotPossible, Problem) as refusal:
        messages.warning(request, IN_WORDS.get(getattr(refusal, "code", ""), str(refusal)))
        return _back_to(order)
    found = refunding.preview(order, form) if step in ("preview", "refund") and form.is_valid() else None
    standing = crediting.standing_of(order, list(order.credits.all()))
    context |= {
        "title": f"Refund: {order.number}",
        "order": order,
        "form": form,
        "found": found,
        "standing": standing,
        "rows": list(refunding.rows(form, standing, found)),
        "shipping_left": standing.shipping_left - (found.shipping_amount if found else 0),
        "left": standing.left - (found.amount if found else 0),
    }
    return TemplateResponse(request, "admin/orders/order/refund.html", context)


def _refund(request: HttpRequest, order: Order, form: RefundForm) -> HttpResponse | None:
    """Refund and return to the order; None if the preview is to be shown again, with what has changed."""
    assert request.user.pk is not None
    try:
        number = refunding.refund(order, form, user_id=request.user.pk)
    except refunding.AmountChanged as change:
        messages.warning(request, str(change))
        return None
    except refunding.REFUSALS as refusal:
        form.refuse(refusal)
        return None
    amount = format_amount(order.credits.get(number=number).amount, order.currency)
    messages.success(request, f"Refund {number} of {order.number}, {amount}, is requested.")
    return _back_to(order)


def _back_to(order: Order, part: str = "refunds") -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:orders_order_change", args=[order.pk]) + f"#{part}")


# --- Capture of a part ------------------------------------------------------------------------------------


def capture_page(request: HttpRequest, context: dict[str, Any], order: Order) -> HttpResponse:
    """Show the form; its preview on POST; capture once the preview is confirmed."""
    step = request.POST.get("step", "")
    form = CaptureForm(request.POST or None)
    try:
        if step == "capture" and form.is_valid() and (done := _capture(request, order, form)):
            return done
        # After the capture: a repeat gets the first answer whatever the order has become.
        _, held = preview(order, None)
        found = capturing.preview(order, form) if step in ("preview", "capture") and form.is_valid() else None
    except (NotPossible, CaptureUnderWay, AuthorizationExpired, MoreThanHeld, Problem) as refusal:
        messages.warning(request, CAPTURES_IN_WORDS.get(getattr(refusal, "code", ""), str(refusal)))
        return _back_to(order, "payment")
    context |= {
        "title": f"Capture: {order.number}",
        "order": order,
        "form": form,
        "found": found,
        "held": held,
        "expires_at": expires_at(list(Transaction.objects.filter(order_id=order.pk))),
    }
    return TemplateResponse(request, "admin/orders/order/capture.html", context)


def _capture(request: HttpRequest, order: Order, form: CaptureForm) -> HttpResponse | None:
    """Capture and return to the order; None if the form or its preview is to be shown again."""
    amount = form.cleaned_data["expected"]
    assert request.user.pk is not None
    number = capturing.capture(order, form, user_id=request.user.pk) if amount is not None else None
    if number is None:
        return None
    what = f"Capture {number} of {order.number}, {format_amount(amount, order.currency)},"
    messages.success(request, f"{what} is requested.")
    return _back_to(order, "payment")


# --- Payments by hand -------------------------------------------------------------------------------------


def paid_page(request: HttpRequest, context: dict[str, Any], order: Order) -> HttpResponse:
    """Show what has arrived and is missing or too much; record what arrived, or was paid back, on POST."""
    form = PaymentForm(request.POST or None)
    if not receipts.is_paid_by_hand(order):
        messages.warning(request, "This order is not paid by hand.")
        return _back_to(order)
    if form.is_valid() and receiving.record(order, form, user_id=request.user.pk):
        what = "is recorded as paid back" if form.movement.is_paid_back else "is recorded as received"
        messages.success(request, f"{format_amount(form.movement.amount, order.currency)} {what}.")
        return HttpResponseRedirect(request.path)
    context |= {
        "title": f"Record payment: {order.number}",
        "order": order,
        "form": form,
        "receipt": receipts.receipt_of(order),
        "recorded": receiving.recorded(order),
    }
    return TemplateResponse(request, "admin/orders/order/paid.html", context)
