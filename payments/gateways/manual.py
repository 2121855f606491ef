"""Payments without a provider: invoice, transfer, cash on delivery.

An authorization stays pending until staff record that its amount has arrived, at most MANUAL_PAYMENT_DAYS. Money goes
back by hand as well: the first void or refund of received money is declined, which escalates the order, and the retry
after it counts as done.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby

from django.conf import settings
from django.db.models import Sum

from iso.currencies import format_amount
from payments.gateways.base import NoWebhooks, check_opaque
from payments.gateways.protocol import Action, Capabilities, LedgerLine, Outcome, Sent
from payments.models import ManualEntry

Kind = ManualEntry.Kind

NAME = "manual"
# Nothing happens by itself: whatever does is recorded by us.
CHECK_AFTER = timedelta(hours=12)
NOTHING = Decimal(0)


@dataclass
class ManualGateway(NoWebhooks):
    """The shop's own ledger of what it received and paid out."""

    waits: bool = field(default=False, init=False)
    talk: None = field(default=None, init=False)
    provider: str = field(default="", init=False)
    capabilities: Capabilities = field(
        default=Capabilities(partial_capture=True, void_undecided=True, needs_token=False), init=False
    )

    def check_token(self, token: str) -> str:
        return check_opaque(token)

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str, begun: str = ""
    ) -> Outcome:
        return _standing(_keep(key, Kind.AUTHORIZE, reference, amount, currency))

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Outcome:
        return _outcome(_keep(key, Kind.CAPTURE, reference, amount, currency))

    def void(self, *, key: str, reference: str, authorization: str) -> Outcome:
        held = ManualEntry.objects.filter(reference=reference, kind=Kind.AUTHORIZE).first()
        amount, currency = (received_for(held), held.currency) if held else (NOTHING, "")
        return _by_hand(key, Kind.VOID, reference, amount, currency)

    def refund(self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str) -> Outcome:
        return _by_hand(key, Kind.REFUND, reference, amount, currency)

    def find(self, *, key: str, sent: Sent | None = None) -> Outcome | None:
        entry = ManualEntry.objects.filter(key=key).first()
        if entry is None:
            return None
        return _standing(entry) if entry.kind == Kind.AUTHORIZE else _outcome(entry)

    def ledger(self, since: datetime | None = None) -> Iterator[LedgerLine]:
        """Stream the ledger by order: of those with an entry since a moment, all entries."""
        entries = ManualEntry.objects.order_by("reference", "currency")
        if since is not None:
            recent = ManualEntry.objects.filter(recorded_at__gte=since)
            entries = entries.filter(reference__in=recent.values("reference"))
        account = lambda entry: (str(entry.reference), entry.currency)  # noqa: E731
        for (reference, currency), group in groupby(entries.iterator(), key=account):
            if line := _line(reference, currency, list(group)):
                yield line


def received_for(authorization: ManualEntry) -> Decimal:
    """Return what has arrived for an authorization."""
    found = ManualEntry.objects.filter(
        reference=authorization.reference, currency=authorization.currency, kind=Kind.RECEIVED
    )
    return found.aggregate(sum=Sum("amount"))["sum"] or NOTHING


def _standing(entry: ManualEntry) -> Outcome:
    if ManualEntry.objects.filter(reference=entry.reference, kind=Kind.VOID).exists():
        return Outcome("declined", provider_id=_id(entry), code="canceled", message="It was called off.")
    missing = entry.amount - received_for(entry)
    if missing <= 0:
        return Outcome("succeeded", provider_id=_id(entry))
    return Outcome(
        "pending",
        provider_id=_id(entry),
        message=f"{format_amount(missing, entry.currency)} of it have not arrived.",
        check_after=CHECK_AFTER,
        action=Action(pay_by=entry.recorded_at + timedelta(days=settings.MANUAL_PAYMENT_DAYS)),
    )


def _by_hand(key: str, kind: str, reference: str, amount: Decimal, currency: str) -> Outcome:
    """Have staff pay money back: declined first, done when it is tried again."""
    known = ManualEntry.objects.filter(key=key).first()
    if known is not None:
        return _outcome(known)
    alike = ManualEntry.objects.filter(reference=reference, amount=amount)
    asked = alike.filter(kind=Kind.ASKED, asked_for=kind).count()
    is_paid_out = not amount or asked > alike.filter(kind=kind).count()
    return _outcome(
        _keep(key, kind if is_paid_out else Kind.ASKED, reference, amount, currency, asked_for=kind)
    )


def _keep(
    key: str, kind: str, reference: str, amount: Decimal, currency: str, *, asked_for: str = ""
) -> ManualEntry:
    """Keep the first entry under a key, and return it."""
    wanted = {"kind": kind, "reference": reference, "amount": amount, "currency": currency}
    return ManualEntry.objects.get_or_create(key=key, defaults=wanted | {"asked_for": asked_for})[0]


def _outcome(entry: ManualEntry) -> Outcome:
    if entry.kind != Kind.ASKED:
        return Outcome("succeeded", provider_id=_id(entry))
    amount = format_amount(entry.amount, entry.currency)
    return Outcome("declined", code="by_hand", message=f"Pay {amount} back by hand, then retry.")


def _id(entry: ManualEntry) -> str:
    return f"manual_{entry.kind}_{entry.pk}"


def _line(reference: str, currency: str, entries: list[ManualEntry]) -> LedgerLine | None:
    sums = {kind: sum((e.amount for e in entries if e.kind == kind), NOTHING) for kind in Kind.values}
    captured = sums[Kind.CAPTURE]
    is_paid = captured or (sums[Kind.AUTHORIZE] and sums[Kind.RECEIVED] >= sums[Kind.AUTHORIZE])
    if not is_paid:
        return None
    return LedgerLine(
        reference=reference,
        currency=currency,
        authorized=sums[Kind.AUTHORIZE],
        captured=captured,
        refunded=sums[Kind.REFUND],
        # However little had arrived by then.
        voided=sums[Kind.AUTHORIZE] if any(entry.kind == Kind.VOID for entry in entries) else NOTHING,
        captures=sum(entry.kind == Kind.CAPTURE for entry in entries),
    )
