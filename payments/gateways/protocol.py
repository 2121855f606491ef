"""The interface of payment providers."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from providers.conversation import Conversation

Kind = Literal["succeeded", "declined", "unknown", "not_sent"]


class Outcome(NamedTuple):
    """The outcome of a call that moves money."""

    # succeeded  executed
    # declined   refused for good; no money moved
    # unknown    possibly executed: look it up by its key first
    # not_sent   not executed; retryable
    kind: Kind
    provider_id: str = ""
    code: str = ""  # stable and short: why it did not succeed, or is unknown
    message: str = ""  # for operators and customers


@dataclass(frozen=True)
class LedgerLine:
    """The provider's ledger for one reference and currency. Amounts count successful operations.

    The account may have other users: a reference is any text.
    """

    reference: str
    currency: str = ""
    authorized: Decimal = Decimal(0)
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    voided: Decimal = Decimal(0)
    captures: int = 0
    flaw: str = ""  # why the line is unreadable


class Talk(Protocol):
    """`PaymentGateway`'s calls as conversations (`providers.conversation`)."""

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str
    ) -> Conversation[Outcome]:
        """Hold an amount on a card."""

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        """Capture authorized money."""

    def void(self, *, key: str, reference: str, authorization: str) -> Conversation[Outcome]:
        """Void an authorization that was not captured."""

    def refund(
        self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        """Refund captured money."""

    def find(self, *, key: str) -> Conversation[Outcome | None]:
        """Look up by key. Raises providers.errors.ProviderUnavailable."""


class PaymentGateway(Protocol):
    """A payment provider. Calls that move money report failures as outcomes, never as exceptions.

    Calls are idempotent by key. `authorization` and `capture` are `provider_id`s of earlier calls.
    """

    # Whether calls wait for the network, and are better made concurrently.
    waits: bool

    @property
    def talk(self) -> Talk | None:
        """Return the calls as conversations; None: they run on threads, or at once."""

    def authorize(self, *, key: str, reference: str, amount: Decimal, currency: str, token: str) -> Outcome:
        """Hold an amount on a card."""

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Outcome:
        """Capture authorized money."""

    def void(self, *, key: str, reference: str, authorization: str) -> Outcome:
        """Void an authorization that was not captured."""

    def refund(self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str) -> Outcome:
        """Refund captured money."""

    def find(self, *, key: str) -> Outcome | None:
        """Return the outcome under the key, succeeded or declined; None if the provider never received it.

        Raises providers.errors.ProviderUnavailable.
        """

    def ledger(self) -> Iterator[LedgerLine]:
        """Stream the provider's ledger. Raises providers.errors.ProviderUnavailable, also midway."""
