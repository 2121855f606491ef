"""What an order's transactions add up to. Sums are never stored beside the rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from payments.models import Transaction, number_of, rank_of

Kind = Transaction.Kind
State = Transaction.State


class Entry(Protocol):
    number: int
    kind: str
    parent: int | None
    attempt: int
    credit: int | None
    gateway: str
    amount: Decimal
    currency: str
    state: str
    provider_id: str

    @property
    def reference(self) -> object:
        """The order in the provider's ledger."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What failed later is left out."""

    captured: Decimal
    refunded: Decimal
    # Refunds with an unknown outcome.
    pending: Decimal

    @property
    def left(self) -> Decimal:
        return self.captured - self.refunded - self.pending


def balance(entries: Sequence[Entry]) -> Balance:
    captures, refunds = standing(entries, Kind.CAPTURE), standing(entries, Kind.REFUND)
    pending = [e for e in entries if e.kind == Kind.REFUND and e.state == State.UNKNOWN]
    return Balance(_total(captures), _total(refunds), _total(pending))


def standing(entries: Iterable[Entry], kind: str) -> list[Entry]:
    """Return what succeeded of a kind and was not reversed."""
    entries = list(entries)
    reversed_ones = {entry.parent for entry in entries if entry.kind == Kind.REVERSAL}
    return [
        e for e in entries if (e.kind, e.state) == (kind, State.SUCCEEDED) and e.number not in reversed_ones
    ]


def left_of(capture: Entry, entries: Iterable[Entry]) -> Decimal:
    """Return what of a capture no refund has taken, nor may have: an unknown one counts."""
    entries = list(entries)
    unknown = [e for e in entries if e.kind == Kind.REFUND and e.state == State.UNKNOWN]
    refunds = [*standing(entries, Kind.REFUND), *unknown]
    # A refund from before there were several captures may not name its own.
    first = number_of(Kind.CAPTURE)
    return capture.amount - _total(e for e in refunds if (e.parent or first) == capture.number)


def capture_to_refund(entries: Sequence[Entry]) -> Entry:
    """Return the first capture of which something is left; the first of all if nothing is."""
    captures = standing(entries, Kind.CAPTURE)
    return next((capture for capture in captures if left_of(capture, entries) > 0), captures[0])


def latest(entries: Iterable[Entry], kind: str) -> Entry | None:
    return max((e for e in entries if e.kind == kind), key=lambda entry: entry.number, default=None)


def next_number(entries: Iterable[Entry], kind: str) -> int:
    """The same for all who read the same rows."""
    last = latest(entries, kind)
    return number_of(kind, rank_of(last.number) + 1 if last else 1)


def _total(entries: Iterable[Entry]) -> Decimal:
    return sum((entry.amount for entry in entries), Decimal(0))
