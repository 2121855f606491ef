"""Payments that staff record by hand."""

from decimal import Decimal
from typing import NamedTuple

from django.db.models import Sum

from payments.models import ManualEntry

Kind = ManualEntry.Kind
NOTHING = Decimal(0)


class ReferenceReused(Exception):
    """The external reference is known with another amount."""


class Account(NamedTuple):
    """What an order's entries add up to. `owed`: what the shop may keep; None until it is authorized."""

    received: Decimal
    paid_back: Decimal
    owed: Decimal | None


def account_of(uuid: str) -> Account:
    # What a refund paid out was captured before: neither changes what is too much.
    found = ManualEntry.objects.filter(reference=uuid).values_list("kind").annotate(Sum("amount"))
    sums = dict(found.order_by())
    owed = sums.get(Kind.CAPTURE)
    if owed is None:
        owed = NOTHING if Kind.VOID in sums else sums.get(Kind.AUTHORIZE)
    paid_back = sums.get(Kind.RETURNED, NOTHING) + sums.get(Kind.VOID, NOTHING)
    return Account(sums.get(Kind.RECEIVED, NOTHING), paid_back, owed)


def record(
    *,
    kind: ManualEntry.Kind,
    uuid: str,
    reference: str,
    amount: Decimal,
    currency: str,
    recorded_by: int | None,
) -> bool:
    """Record an amount under its external reference; False for a repeat. Raises ReferenceReused."""
    facts = {"amount": amount, "currency": currency, "recorded_by": recorded_by, "reference": uuid}
    entry, is_new = ManualEntry.objects.get_or_create(
        key=f"{uuid}:{kind}:{reference}", defaults=facts | {"kind": kind}
    )
    if entry.amount != amount:
        raise ReferenceReused
    return is_new


def recorded_for(uuid: str) -> list[tuple[ManualEntry, str]]:
    """Return what staff recorded for an order, oldest first, each with its external reference."""
    found = ManualEntry.objects.filter(reference=uuid, kind__in=(Kind.RECEIVED, Kind.RETURNED)).order_by("pk")
    return [(entry, entry.key.split(":", 2)[2]) for entry in found]
