"""The interface of payment gateways.

Calls that move money end as an `Outcome`, never as an exception. Amounts are Decimal, in whole units of the
currency's smallest unit. Moments are aware.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol

from providers.conversation import Conversation

Kind = Literal["succeeded", "declined", "unknown", "not_sent", "begun", "pending", "action_required"]

# The provider has the call: it is looked up, never sent again.
UNDECIDED: frozenset[Kind] = frozenset({"pending", "action_required"})


class Action(NamedTuple):
    """What the customer has to do: `url` or `client_secret`, before `pay_by`."""

    url: str = ""
    client_secret: str = ""
    pay_by: datetime | None = None

    def as_json(self) -> dict[str, str]:
        """Return the given parts, by the API's names."""
        parts = {
            "url": self.url,
            "clientSecret": self.client_secret,
            "payBy": self.pay_by.isoformat() if self.pay_by else "",
        }
        return {name: value for name, value in parts.items() if value}


class Outcome(NamedTuple):
    """The outcome of a call that moves money.

    A capture of an authorization that has expired is declined as `authorization_expired`.
    """

    # succeeded        executed
    # declined         refused for good; no money moved
    # unknown          possibly executed: look it up first
    # not_sent         not executed; retryable
    # begun            the provider knows it by `provider_id`, nothing moved: record the id, then send again
    # pending          the provider decides later: look it up after `check_after`, or wait for the webhook
    # action_required  the customer has to act; else as pending
    kind: Kind
    provider_id: str = ""
    code: str = ""  # stable and short: why it did not succeed, or is unknown
    message: str = ""  # for operators and customers
    check_after: timedelta | None = None
    action: Action | None = None


class Sent(NamedTuple):
    """What was recorded of a call before it was sent: the facts for a look-up."""

    kind: str  # authorize | capture | void | refund
    reference: str
    amount: Decimal
    currency: str
    # The provider's id of the authorization or capture that it builds on.
    parent: str = ""
    # The provider's id of this call, if a `begun` or undecided outcome had one.
    provider_id: str = ""


@dataclass(frozen=True)
class Capabilities:
    partial_capture: bool = False
    several_captures: bool = False  # else the rest of a partial capture is released
    partial_refund: bool = True
    asynchronous_refunds: bool = False
    # Else `find` needs what `Sent` has.
    lookup_by_key: bool = True
    # An order needs the token of a payment method.
    needs_token: bool = True
    # An authorization that is not decided yet can be voided by its provider id.
    void_undecided: bool = False
    # None: until it is captured or voided.
    authorization_expires_after: timedelta | None = None
    # How late a call may surface in a look-up, beyond the network's own timeouts.
    arrival_grace: timedelta = timedelta(0)
    # None: for ever.
    keys_expire_after: timedelta | None = None


@dataclass(frozen=True)
class LedgerLine:
    """The provider's ledger for one reference and currency. Amounts count successful operations.

    What is released because an authorization expired counts as voided.
    """

    reference: str
    currency: str = ""
    authorized: Decimal = Decimal(0)
    captured: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    voided: Decimal = Decimal(0)
    captures: int = 0
    flaw: str = ""  # why the line is unreadable


class Event(NamedTuple):
    """A webhook about one operation. `key` is empty where the provider does not repeat it."""

    id: str
    kind: str  # authorize | capture | void | refund | dispute
    outcome: Outcome
    reference: str
    key: str = ""
    parent: str = ""
    amount: Decimal | None = None  # None: not told
    currency: str = ""


class NotGenuine(Exception):
    """The webhook's signature is missing, invalid or too old."""


class NotUnderstood(Exception):
    """The webhook is signed, but unreadable."""


class NotForUs(Exception):
    """The webhook is genuine, but of an unused type."""

    def __init__(self, event_type: str) -> None:
        super().__init__(event_type)
        self.event_type = event_type


class Talk(Protocol):
    """`PaymentGateway`'s calls as conversations (`providers.conversation`)."""

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str, begun: str = ""
    ) -> Conversation[Outcome]:
        """As `PaymentGateway.authorize`."""

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        """Capture authorized money."""

    def void(self, *, key: str, reference: str, authorization: str) -> Conversation[Outcome]:
        """Void an authorization that was not captured. One that expired counts as voided."""

    def refund(
        self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        """Refund captured money."""

    def find(self, *, key: str, sent: Sent | None = None) -> Conversation[Outcome | None]:
        """Look up a call. Raises providers.errors.ProviderUnavailable."""


class PaymentGateway(Protocol):
    """A payment provider. Calls that move money report failures as outcomes, never as exceptions.

    Calls are idempotent by key. `authorization` and `capture` are `provider_id`s of earlier calls.
    """

    @property
    def waits(self) -> bool:
        """Whether calls wait for the network, and are better made concurrently."""

    @property
    def provider(self) -> str:
        """Its name in settings.PROVIDERS: connections, breaker and health check; "" without a network."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    @property
    def talk(self) -> Talk | None:
        """The calls as conversations; None: they run on threads, or at once."""

    def check_token(self, token: str) -> str:
        """Return why the token cannot be a payment method of this gateway, or ""."""

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str, begun: str = ""
    ) -> Outcome:
        """Hold an amount on a payment method. `begun`: the id of the `begun` outcome of an earlier call."""

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Outcome:
        """Capture authorized money."""

    def void(self, *, key: str, reference: str, authorization: str) -> Outcome:
        """Void an authorization that was not captured. One that expired counts as voided."""

    def refund(self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str) -> Outcome:
        """Refund captured money."""

    def find(self, *, key: str, sent: Sent | None = None) -> Outcome | None:
        """Return the outcome of a call; None if the provider never executed it.

        `sent` may be left out only where `capabilities.lookup_by_key`. Raises
        providers.errors.ProviderUnavailable.
        """

    def ledger(self, since: datetime | None = None) -> Iterator[LedgerLine]:
        """Stream the provider's ledger, of operations since a moment at least.

        Raises providers.errors.ProviderUnavailable, also midway.
        """

    def webhook_secrets(self) -> Sequence[str]:
        """Return the secrets that sign its webhooks; none: it sends none."""

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Event:
        """Verify and parse a webhook.

        Raises NotGenuine (`headers` are case-insensitive), NotUnderstood or NotForUs; ProviderUnavailable if
        the provider has to be called for the reference, and cannot be.
        """
