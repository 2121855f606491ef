"""Payments by hand as operators record them: the form, what is wrong with it, the list."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth.models import User

from orders.models import Order
from orders.operators.fields import AmountField, TextField
from orders.refunding import receipts
from orders.refunding.amounts import MoreThanLeft, TooManyDecimals
from orders.refunding.receipts import Movement
from payments.models import ManualEntry
from payments.receipts import ReferenceReused, recorded_for

LONGEST_REFERENCE = 100
WAYS = (("received", "It arrived"), ("returned", "It was paid back"))


class PaymentForm(forms.Form):
    """An amount, and the reference of its transfer or slip, which counts once."""

    way = forms.ChoiceField(choices=WAYS, initial="received", label="What happened")
    amount = AmountField()
    reference = TextField(max_length=LONGEST_REFERENCE, label="Reference of the bank or receipt")

    def clean_amount(self) -> Any:
        """Refuse an amount of 0."""
        amount = self.cleaned_data["amount"]
        if not amount:
            raise forms.ValidationError("Enter an amount.")
        return amount

    @property
    def movement(self) -> Movement:
        is_paid_back = self.cleaned_data["way"] == "returned"
        return Movement(self.cleaned_data["amount"], self.cleaned_data["reference"], is_paid_back)


def record(order: Order, form: PaymentForm, *, user_id: int | None) -> bool:
    """Record a valid form's payment; False, with errors in the form, if it is refused."""
    try:
        receipts.record_payment(order=order, movement=form.movement, recorded_by=user_id)
    except ReferenceReused:
        form.add_error("reference", "This reference is known with another amount.")
    except MoreThanLeft as refusal:
        form.add_error("amount", f"Only {refusal.left} is too much.")
    except TooManyDecimals as refusal:
        form.add_error("amount", str(refusal))
    return not form.errors


@dataclass(frozen=True, slots=True)
class Recorded:
    """A payment that staff recorded, with the name of who did."""

    entry: ManualEntry
    reference: str
    who: str


def recorded(order: Order) -> list[Recorded]:
    found = recorded_for(str(order.uuid))
    ids = {entry.recorded_by for entry, _ in found if entry.recorded_by}
    names = dict(User.objects.filter(pk__in=ids).values_list("pk", "username")) if ids else {}
    return [Recorded(entry, reference, names.get(entry.recorded_by or 0, "")) for entry, reference in found]
