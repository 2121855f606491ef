"""The interface of payment providers."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from providers.conversation import Conversation

Kind = Literal["succeeded", "declined", "unknown", "not_sent"]


class Outcome(NamedTuple):
    """The outcome of a call that moves money."""

    # succeeded  it is done
    # declined   the provider said no and will say no again; nothing moved
    # unknown    it may be done: look it up by its key before doing anything else about it
    # not_sent   nothing was done, and a later try may succeed
    kind: Kind
    provider_id: str = ""
    code: str = ""  # stable and short: why it did not succeed, or is unknown
    message: str = ""  # for operators and customers


@dataclass(frozen=True)
class LedgerLine:
    """The provider's ledger for one reference in one currency. Amounts count successful operations.

    Others may use the account too: a reference is any text.
    """

    reference: str
    currency: str = ""
    authorized: Decimal = Decimal(0)
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    voided: Decimal = Decimal(0)  # the voided part of the authorized amount
    captures: int = 0
    flaw: str = ""  # why the line is unreadable beyond its reference; else empty


class Talk(Protocol):
    """`PaymentGateway`'s calls as conversations (`providers.conversation`)."""

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str
    ) -> Conversation[Outcome]:
        """Hold the amount on the customer's card."""

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
    """A payment provider. Calls that move money never raise for provider failures: those are outcomes.

    Each has an idempotency key, stored by the caller in advance: repeats have no further effect.
    `authorization` and `capture` are the `provider_id` of those calls.
    """

    # Whether calls wait for the network, and are better made concurrently.
    waits: bool

    @property
    def talk(self) -> Talk | None:
        """Return the calls as conversations for the process's loop; None: they run on threads, or at once."""

    def authorize(self, *, key: str, reference: str, amount: Decimal, currency: str, token: str) -> Outcome:
        """Hold the amount on the customer's card."""

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
