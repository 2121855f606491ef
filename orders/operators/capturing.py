"""Captures by staff as operators see them: the form, its preview, the capture itself, the audit log."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms

from api.idempotency import once
from iso.currencies import format_amount
from orders.legs import CAPTURED_BY_STAFF, PAYMENT
from orders.models import Order
from orders.operators.actions import LONGEST_REASON, log
from orders.operators.fields import AmountField, TextField
from orders.payment.captures import CAPTURABLE, Authorized, standing_of
from orders.refunding import capturing
from orders.refunding.amounts import TooManyDecimals
from payments.models import Transaction

REFUSALS = (capturing.MoreThanHeld, TooManyDecimals)


class CaptureForm(forms.Form):
    """What to capture of an order: an amount, or all that is left."""

    # Of the first page: all copies of it are one capture.
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    # As previewed, which is what is captured.
    expected = forms.DecimalField(widget=forms.HiddenInput, required=False)
    amount = AmountField(required=False)
    reason = TextField(max_length=LONGEST_REASON, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].widget.attrs["class"] = "vTextField desk-reason"


@dataclass(frozen=True, slots=True)
class Preview:
    """What a capture takes, and what is left after it."""

    amount: Decimal
    left: Decimal


def preview(order: Order, form: CaptureForm) -> Preview | None:
    """Return what a valid form comes to; None, with errors in the form, if it is refused. Raises as `capturing`."""
    try:
        amount, held = capturing.preview(order, form.cleaned_data["amount"])
    except REFUSALS as refusal:
        form.add_error("amount", str(refusal))
        return None
    return Preview(amount, held.left - amount)


def capture(order: Order, form: CaptureForm, *, user_id: int) -> int | None:
    """Capture what was previewed, once for the form's token; return its number. None, with errors, if it is refused.

    Raises as `capturing` or, for another capture of the same token, Problem.
    """
    amount, reason = form.cleaned_data["expected"], form.cleaned_data["reason"]

    def work() -> dict[str, Any]:
        number = capturing.capture_part(order_id=order.pk, amount=amount, reason=reason, requested_by=user_id)
        note_capture(order, number, amount, reason, user_id=user_id)
        return {"capture": number}

    key = f"capture form {form.cleaned_data['token']}"
    try:
        done = once(owner_id=user_id, key=key, identity=[order.pk, amount, reason], work=work)
    except REFUSALS as refusal:
        form.add_error("amount", str(refusal))
        return None
    return int(done["capture"])


def note_capture(order: Order, number: int, amount: Decimal, reason: str, *, user_id: int) -> None:
    """Log a capture that was accepted."""
    what, outcome = f"Capture of {format_amount(amount, order.currency)}", f"requested, number {number}"
    log(Order.objects.filter(pk=order.pk), what, outcome, reason=reason, user_id=user_id)


def standing_by_staff(order: Order, book: Sequence[Transaction]) -> Authorized | None:
    """Return what is captured and left of an order that staff capture, or captured before it was expired."""
    return standing_of(book) if order.journey.payment in CAPTURED_BY_STAFF else None


def is_capturable(order: Order, held: Authorized | None) -> bool:
    """Whether staff may capture a part of the order."""
    is_open = order.journey.status in CAPTURABLE and order.journey.payment != PAYMENT.EXPIRED
    return held is not None and is_open and held.left > 0
