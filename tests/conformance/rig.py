"""What the suite needs of a gateway under test, and the ledger's side of a call."""

import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from payments.gateways.protocol import LedgerLine, Outcome, PaymentGateway, Sent
from providers.conversation import Conversation, hold
from providers.http import Call, provider


@dataclass(frozen=True)
class Tokens:
    """Payment methods that behave as named; empty where the provider has none."""

    good: str
    declined: str = ""
    needs_customer: str = ""  # until `Rig.decide`
    slow: str = ""  # pending until `Rig.decide`
    slow_refund: str = ""  # its refunds are pending until `Rig.decide`


@dataclass
class Rig:
    """A gateway and the hands of a test at its provider. What is None, the provider cannot do."""

    gateway: PaymentGateway
    tokens: Tokens
    # Amounts that the provider can charge, with 2, 0 and 3 decimals.
    amounts: Sequence[tuple[str, str]] = (("20.00", "USD"),)
    # A context in which calls of a kind are executed, and their answers fail.
    errors_after: Callable[[str], AbstractContextManager[Any]] | None = None
    # A context in which the provider throttles calls of a kind.
    throttled: Callable[[str], AbstractContextManager[Any]] | None = None
    # Decide by provider id what the customer or the bank decides: succeeded, failed or expired.
    decide: Callable[[str, str], None] | None = None
    forget_keys: Callable[[], None] | None = None
    # Wait for so many webhooks about a reference; return them as headers and body.
    webhooks: Callable[[str, int], list[tuple[dict[str, str], bytes]]] | None = None
    # Where the provider under test differs from what the real one documents, by the name of a test or of one case.
    differs: dict[str, str] = field(default_factory=dict)


class Killed(Exception):
    """The process ends here."""


@dataclass
class Row:
    """A row of the payment ledger: recorded before the call, and all that a repeat knows."""

    sent: Sent
    key: str
    token: str = ""
    is_new: bool = True
    outcome: Outcome | None = None


class Order:
    """An order's calls, made and repeated as `payments.ledger` does."""

    def __init__(self, rig: Rig, *, amount: str = "20.00", currency: str = "USD", token: str = "") -> None:
        self.rig, self.gateway = rig, rig.gateway
        self.reference = str(uuid.uuid4())
        self.amount, self.currency = Decimal(amount), currency
        self.token = token or rig.tokens.good
        self.rows: dict[str, Row] = {}

    def authorize(self, *, kill_at: int | None = None) -> Outcome:
        """Authorize the amount, or repeat it."""
        return self._attempt("authorize", "", self.amount, kill_at)

    def capture(self, *, amount: str = "", number: int = 1, kill_at: int | None = None) -> Outcome:
        """Capture what is held; `number` tells several apart."""
        kind = "capture" if number == 1 else f"capture:{number}"
        return self._attempt(kind, self.id_of("authorize"), Decimal(amount or self.amount), kill_at)

    def void(self, *, kill_at: int | None = None) -> Outcome:
        """Void what is held, or not decided."""
        return self._attempt("void", self.id_of("authorize"), self.amount, kill_at)

    def refund(
        self, *, amount: str = "", number: int = 1, of: str = "capture", kill_at: int | None = None
    ) -> Outcome:
        """Refund a capture, by default the first; `number` tells several apart."""
        kind = "refund" if number == 1 else f"refund:{number}"
        return self._attempt(kind, self.id_of(of), Decimal(amount or self.amount), kill_at)

    def id_of(self, kind: str) -> str:
        """Return the provider's id of a call."""
        return self.rows[kind].sent.provider_id

    def find(self, kind: str) -> Outcome | None:
        """Look up a call."""
        row = self.rows[kind]
        found = self.gateway.find(key=row.key, sent=row.sent)
        if found is not None and found.provider_id:
            row.sent = row.sent._replace(provider_id=found.provider_id)
        return found

    def line(self) -> LedgerLine:
        """Return what the provider's ledger has of the order."""
        lines = [line for line in self.gateway.ledger() if line.reference == self.reference]
        return lines[0] if lines else LedgerLine(self.reference)

    # --- As the ledger does it ---

    def _attempt(self, kind: str, parent: str, amount: Decimal, kill_at: int | None) -> Outcome:
        sent = Sent(kind.partition(":")[0], self.reference, amount, self.currency, parent)
        row = self.rows.setdefault(kind, Row(sent, f"{self.reference}:{kind}", self.token))
        calls = _Calls(self.gateway, kill_at)
        if not row.is_new:
            found = self.find(kind)
            if found is not None:
                return found
        row.is_new = False
        outcome = calls.make(row)
        while outcome.kind == "begun":
            row.sent = row.sent._replace(provider_id=outcome.provider_id)  # recorded, then sent again
            outcome = calls.make(row)
        if outcome.provider_id:
            row.sent = row.sent._replace(provider_id=outcome.provider_id)
        row.outcome = outcome
        return outcome


class _Calls:
    """Makes a row's calls, and dies before or after the nth: even points are before, odd ones after."""

    def __init__(self, gateway: PaymentGateway, kill_at: int | None) -> None:
        self._gateway, self._kill_at, self._point = gateway, kill_at, 0

    def make(self, row: Row) -> Outcome:
        talk = self._gateway.talk
        if talk is None:
            return self._between(lambda: _send(self._gateway, row))
        conversation: Conversation[Outcome] = _send(talk, row)
        client = provider(self._gateway.provider)
        return hold(conversation, lambda call: self._between(lambda: _answer(client, call)))

    def _between(self, act: Callable[[], Any]) -> Any:
        self._die_here()
        result = act()
        self._die_here()
        return result

    def _die_here(self) -> None:
        if self._point == self._kill_at:
            raise Killed
        self._point += 1


def _answer(client: Any, call: Call) -> Any:
    return client.make(call)


def _send(to: Any, row: Row) -> Any:
    sent = row.sent
    common = {"key": row.key, "reference": sent.reference}
    money = {"amount": sent.amount, "currency": sent.currency}
    match sent.kind:
        case "authorize":
            return to.authorize(**common, **money, token=row.token, begun=sent.provider_id)
        case "capture":
            return to.capture(**common, **money, authorization=sent.parent)
        case "void":
            return to.void(**common, authorization=sent.parent)
    return to.refund(**common, **money, capture=sent.parent)
