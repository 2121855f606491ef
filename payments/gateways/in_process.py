"""A payment provider inside the process, for simulations and benchmarks without HTTP."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from payments.gateways.base import NoWebhooks, check_opaque
from payments.gateways.protocol import Capabilities, LedgerLine, Outcome, Sent

DECLINES = {
    "tok_declined": ("card_declined", "The card was declined."),
    "tok_insufficient_funds": ("insufficient_funds", "The card has insufficient funds."),
    "tok_expired": ("expired_card", "The card has expired."),
}


class Entry(NamedTuple):
    kind: str
    reference: str
    parent: str  # a capture's or void's authorization, a refund's capture
    amount: Decimal
    currency: str
    outcome: Outcome


@dataclass
class Memory:
    """The operations of an in-process provider by key: its ledger, for simulations."""

    entries: dict[str, Entry] = field(default_factory=dict)
    # By the provider's id, what no later call has taken of it.
    left: dict[str, Decimal] = field(default_factory=dict)

    def lines(self) -> Iterator[LedgerLine]:
        sums: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        captures: dict[tuple[str, str], int] = defaultdict(int)
        for entry in self.entries.values():
            if entry.outcome.kind == "succeeded":
                account = (entry.reference, entry.currency)
                sums[account][entry.kind] += entry.amount
                captures[account] += entry.kind == "capture"
        for account, by_kind in sums.items():
            yield LedgerLine(
                reference=account[0],
                currency=account[1],
                authorized=by_kind["authorize"],
                captured=by_kind["capture"],
                refunded=by_kind["refund"],
                voided=by_kind["void"],
                captures=captures[account],
            )


@dataclass
class InProcessGateway(NoWebhooks):
    """Answers at once, and alike for the same key.

    Without a memory it accepts every call and finds no key.
    """

    memory: Memory | None = None
    waits: bool = field(default=False, init=False)
    talk: None = field(default=None, init=False)
    # It stands in for the provider of that name on status pages.
    provider: str = field(default="payments", init=False)
    capabilities: Capabilities = field(
        default=Capabilities(partial_capture=True, several_captures=True), init=False
    )

    def check_token(self, token: str) -> str:
        return check_opaque(token)

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str, begun: str = ""
    ) -> Outcome:
        if token in DECLINES:
            code, message = DECLINES[token]
            outcome = Outcome("declined", code=code, message=message)
        else:
            outcome = _done("auth", key)
        return self._keep(key, Entry("authorize", reference, "", amount, currency, outcome))

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Outcome:
        outcome = self._taking(authorization, amount, _done("cap", key))
        return self._keep(key, Entry("capture", reference, authorization, amount, currency, outcome))

    def void(self, *, key: str, reference: str, authorization: str) -> Outcome:
        held = self._entry_of(authorization)
        amount, currency = (self._left_of(held), held.currency) if held else (Decimal(0), "")
        return self._keep(key, Entry("void", reference, authorization, amount, currency, _done("void", key)))

    def refund(self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str) -> Outcome:
        outcome = self._taking(capture, amount, _done("ref", key))
        return self._keep(key, Entry("refund", reference, capture, amount, currency, outcome))

    def find(self, *, key: str, sent: Sent | None = None) -> Outcome | None:
        entry = self.memory.entries.get(key) if self.memory else None
        return entry.outcome if entry else None

    def ledger(self, since: datetime | None = None) -> Iterator[LedgerLine]:
        return self.memory.lines() if self.memory else iter(())

    def _keep(self, key: str, entry: Entry) -> Outcome:
        """Keep the first answer under a key, and return it."""
        if self.memory is None:
            return entry.outcome
        if key not in self.memory.entries and entry.outcome.kind == "succeeded":
            self.memory.left[entry.outcome.provider_id] = entry.amount
            if entry.parent in self.memory.left:
                self.memory.left[entry.parent] -= entry.amount
        return self.memory.entries.setdefault(key, entry).outcome

    def _taking(self, parent: str, amount: Decimal, outcome: Outcome) -> Outcome:
        """Return the outcome of a call that takes from an authorization or a capture; more than is left is declined."""
        if self.memory is None or amount <= self.memory.left.get(parent, amount):
            return outcome
        return Outcome("declined", code="more_than_left", message="Less is left.")

    def _left_of(self, held: Entry) -> Decimal:
        """Return what of an authorization is not captured; all of one that was decided later."""
        return self.memory.left.get(held.outcome.provider_id, held.amount) if self.memory else held.amount

    def _entry_of(self, provider_id: str) -> Entry | None:
        entries = self.memory.entries.values() if self.memory else ()
        return next((entry for entry in entries if entry.outcome.provider_id == provider_id), None)


def _done(prefix: str, key: str) -> Outcome:
    digest = hashlib.blake2b(key.encode(), digest_size=12).hexdigest()
    return Outcome("succeeded", provider_id=f"{prefix}_{digest}")
