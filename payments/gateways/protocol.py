"""What the payment ledger asks of a payment provider, whichever it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from providers.conversation import Conversation

Kind = Literal["succeeded", "declined", "unknown", "not_sent"]


class Outcome(NamedTuple):
    """What became of a call for money."""

    # succeeded  it is done
    # declined   the provider said no and will say no again; nothing moved
    # unknown    it may be done: look it up by its key before doing anything else about it
    # not_sent   nothing was done, and a later try may succeed
    kind: Kind
    provider_id: str = ""
    code: str = ""  # stable and short: why not, or why nobody knows
    message: str = ""  # for people


@dataclass(frozen=True)
class LedgerLine:
    """What the provider's own ledger says of one reference in one currency. Amounts count what succeeded.

    The account may be used by others too: a reference is any text, ours or not.
    """

    reference: str
    currency: str = ""
    authorized: Decimal = Decimal(0)
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    voided: Decimal = Decimal(0)  # the authorized amount that was let go
    captures: int = 0
    flaw: str = ""  # why the line could not be read beyond its reference; empty if it was


class Talk(Protocol):
    """A payment provider as conversations (`providers.conversation`): the same as `PaymentGateway`, call by call."""

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str
    ) -> Conversation[Outcome]:
        """Hold the amount on the customer's card."""

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        """Take money that is held."""

    def void(self, *, key: str, reference: str, authorization: str) -> Conversation[Outcome]:
        """Release money that is held and was not taken."""

    def refund(
        self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        """Refund money that was taken."""

    def find(self, *, key: str) -> Conversation[Outcome | None]:
        """Look up by key. Raises providers.errors.ProviderUnavailable."""


class PaymentGateway(Protocol):
    """A payment provider. Calls for money never raise for the provider's troubles: those are outcomes.

    Each carries an idempotency key, stored by the caller beforehand: however often it is made, it is done
    once. `authorization` and `capture` are the `provider_id` of the call that made them.
    """

    # Whether its calls wait for an answer from elsewhere, so that many are better made concurrently.
    waits: bool

    @property
    def talk(self) -> Talk | None:
        """The same calls as conversations, for the process's loop; None: they are made on threads, or at once."""

    def authorize(self, *, key: str, reference: str, amount: Decimal, currency: str, token: str) -> Outcome:
        """Hold the amount on the customer's card."""

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Outcome:
        """Take money that is held."""

    def void(self, *, key: str, reference: str, authorization: str) -> Outcome:
        """Let go of money that is held and was not taken."""

    def refund(self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str) -> Outcome:
        """Give back money that was taken."""

    def find(self, *, key: str) -> Outcome | None:
        """What the provider knows under the key: succeeded or declined, or None when it never saw the key.

        Raises providers.errors.ProviderUnavailable when it cannot say.
        """

    def ledger(self) -> Iterator[LedgerLine]:
        """The provider's books, streamed. Raises providers.errors.ProviderUnavailable, also midway."""
