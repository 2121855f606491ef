"""Payments that staff record by hand."""

from decimal import Decimal
from typing import NamedTuple

from django.db.models import Sum

from payments.models import ManualEntry


class ReferenceReused(Exception):
    """The external reference is known with another amount."""


class Received(NamedTuple):
    """What has arrived for an order."""

    total: Decimal
    is_new: bool


def receive(
    *, uuid: str, reference: str, amount: Decimal, currency: str, recorded_by: int | None
) -> Received:
    """Record an amount under its external reference, once. Raises ReferenceReused."""
    facts = {"amount": amount, "currency": currency, "recorded_by": recorded_by, "reference": uuid}
    entry, is_new = ManualEntry.objects.get_or_create(
        key=f"{uuid}:received:{reference}", defaults=facts | {"kind": ManualEntry.Kind.RECEIVED}
    )
    if entry.amount != amount:
        raise ReferenceReused
    found = ManualEntry.objects.filter(reference=uuid, currency=currency, kind=ManualEntry.Kind.RECEIVED)
    return Received(found.aggregate(sum=Sum("amount"))["sum"], is_new)
