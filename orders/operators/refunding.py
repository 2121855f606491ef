"""Refunds of parts as operators see them: the form, its preview, the refund itself, the list, the audit log."""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth.models import User

from api.idempotency import once
from iso.currencies import format_amount
from orders.models import Credit, Order, OrderLine
from orders.operators.actions import LONGEST_REASON, log
from orders.operators.fields import AmountField, TextField
from orders.placing.pricing import MAX_QUANTITY
from orders.refunding import amounts, crediting, parts
from orders.refunding.amounts import Place, Plan, Standing, Wish
from payments.balance import balance
from payments.models import Transaction

UNITS = "units_"
OF_AN_ITEM = re.compile(r"items\[(\d+)\]")
REFUSALS = (
    amounts.MoreThanLeft,
    amounts.NotOrdered,
    amounts.SeveralLines,
    amounts.TooManyDecimals,
    amounts.NothingToRefund,
)


class AmountChanged(Exception):
    """The refund comes to another amount than its preview."""

    def __init__(self) -> None:
        super().__init__("The order was refunded meanwhile, and this comes to another amount.")


# --- The form ---------------------------------------------------------------------------------------------


def units_field(line: OrderLine) -> str:
    return f"{UNITS}{line.product_id}" + (f"_{line.number}" if line.number else "")


class RefundForm(forms.Form):
    """What to refund of an order: units by line and shipping, or an amount."""

    # Of the first page: all copies of it are one refund.
    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    expected = forms.DecimalField(widget=forms.HiddenInput, required=False)
    shipping = AmountField(required=False)
    amount = AmountField(required=False)
    reason = TextField(max_length=LONGEST_REASON)
    restock = forms.BooleanField(required=False, label="Put the units back to stock")

    def __init__(self, lines: Sequence[OrderLine], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = lines
        for line in lines:
            self.fields[units_field(line)] = forms.IntegerField(
                required=False, min_value=0, max_value=MAX_QUANTITY, label=f"Units of {line.product_name}"
            )
        self.fields["reason"].widget.attrs["class"] = "vTextField desk-reason"

    def clean(self) -> None:
        """Refuse parts beside an amount or neither, and restocking without units."""
        units, shipping = self._units(), self.cleaned_data.get("shipping")
        amount = self.cleaned_data.get("amount")
        if amount and (units or shipping):
            self.add_error("amount", "Enter an amount, or units and shipping, not both.")
        if not (amount or units or shipping or self.errors):
            self.add_error(None, "Enter units, shipping or an amount.")
        if self.cleaned_data.get("restock") and not units and not self.errors:
            self.add_error("restock", "Enter the units to put back to stock.")

    def _units(self) -> list[tuple[int | str | Place, int]]:
        entered = [
            (Place(place), self.cleaned_data.get(units_field(line)))
            for place, line in enumerate(self.lines, start=1)
        ]
        return [(place, units) for place, units in entered if units]

    @property
    def wish(self) -> Wish:
        """What is to be refunded. The form must be valid."""
        return Wish(
            items=self._units(),
            shipping=self.cleaned_data["shipping"] or False,
            amount=self.cleaned_data["amount"] or None,
            reason=self.cleaned_data["reason"],
            restock=self.cleaned_data["restock"],
        )

    def refuse(self, refusal: Exception) -> None:
        place = getattr(refusal, "field", "")
        if item := OF_AN_ITEM.match(place):
            entered = [line for line in self.lines if self.cleaned_data.get(units_field(line))]
            place = units_field(entered[int(item[1])])
        self.add_error(place or None, str(refusal))


# --- The preview ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Row:
    """A line of an order: what is left of it, and what a refund takes."""

    line: OrderLine
    left: int
    field: forms.BoundField
    units: int = 0
    amount: Decimal = Decimal(0)

    @property
    def left_after(self) -> int:
        return self.left - self.units


def rows(form: RefundForm, standing: Standing, found: Plan | None = None) -> Iterator[Row]:
    """Yield the order's lines, with what a plan takes of each."""
    taken = {(line.product_id, line.number): line for line in found.lines} if found else {}
    for line, item in zip(form.lines, standing.items, strict=True):
        planned, left = taken.get(item.key), item.quantity - item.credited
        row = Row(line, left, form[units_field(line)])
        yield row if planned is None else replace(row, units=planned.units, amount=planned.amount)


def preview(order: Order, form: RefundForm) -> Plan | None:
    """Return what a valid form comes to; None, with errors in the form, if it is refused."""
    try:
        found, _ = parts.preview(order, form.wish)
    except REFUSALS as refusal:
        form.refuse(refusal)
        return None
    return found


# --- The refund -------------------------------------------------------------------------------------------


def refund(order: Order, form: RefundForm, *, user_id: int) -> int:
    """Refund what a valid form wants, once for its token; return the credit's number.

    Raises AmountChanged, commands.NotPossible, one of REFUSALS or, for another refund of the same token, Problem.
    """
    wish, expected = form.wish, form.cleaned_data["expected"]

    def work() -> dict[str, Any]:
        credit = parts.refund_part(order_id=order.pk, wish=wish, requested_by=user_id)
        if credit.amount != expected:
            raise AmountChanged
        note_refund(order, credit, user_id=user_id)
        return {"credit": credit.number}

    identity = [order.pk, wish.items, wish.shipping, wish.amount, wish.reason, wish.restock]
    key = f"refund form {form.cleaned_data['token']}"
    return int(once(owner_id=user_id, key=key, identity=identity, work=work)["credit"])


def note_refund(order: Order, credit: Credit, *, user_id: int) -> None:
    what, outcome = (
        f"Refund of {format_amount(credit.amount, order.currency)}",
        f"requested, number {credit.number}",
    )
    log(Order.objects.filter(pk=order.pk), what, outcome, reason=credit.reason, user_id=user_id)


# --- The list ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listed:
    """A refund of a part, with the name of who requested it."""

    credit: Credit
    who: str
    units: int


def listed(granted: Sequence[Credit]) -> list[Listed]:
    ids = {credit.requested_by for credit in granted if credit.requested_by}
    names = dict(User.objects.filter(pk__in=ids).values_list("pk", "username")) if ids else {}
    return [
        Listed(credit, names.get(credit.requested_by or 0, ""), sum(credit.units.values()))
        for credit in granted
    ]


def is_refundable(order: Order, granted: Sequence[Credit]) -> bool:
    """Whether a part of the order may be refunded."""
    return order.journey.status in parts.REFUNDABLE and crediting.standing_of(order, granted).left > 0


def is_archived_refundable(order: Order, transactions: Sequence[Transaction]) -> bool:
    """Whether something is left to refund of an archived order."""
    return order.journey.status in parts.REFUNDABLE and balance(transactions).left > 0
