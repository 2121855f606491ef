"""What gateways share: opaque tokens, and calls that are conversations over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from payments.gateways.protocol import Capabilities, Event, NotForUs, Outcome, Sent, Talk
from providers.conversation import Conversation, hold
from providers.http import ProviderClient, provider
from telemetry.card_numbers import holds_card_number

T = TypeVar("T")

LONGEST_TOKEN = 255


def check_opaque(token: str) -> str:
    """Return why a text cannot be a token of any gateway, or ""."""
    if not 0 < len(token) <= LONGEST_TOKEN:
        return f"1 to {LONGEST_TOKEN} characters."
    if not (token.isascii() and token.isprintable()) or " " in token:
        return "Printable ASCII characters without blanks only."
    if holds_card_number(token):
        return "A token of the payment provider, never a card number."
    return ""


class NoWebhooks:
    """A gateway whose provider sends no webhooks."""

    def webhook_secrets(self) -> Sequence[str]:
        return []

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Event:
        """Raise NotForUs."""
        raise NotForUs("")


class TalkingGateway:
    """Runs one conversation of `talk` at a time, on the caller's thread.

    A subclass sets `provider`, its name in settings.PROVIDERS, `capabilities` and `talk`.
    """

    waits = True
    provider = ""
    capabilities = Capabilities()
    # Typed loosely: a subclass's conversations may take more than the protocol's.
    talk: Any = None

    def check_token(self, token: str) -> str:
        """Return why the token cannot be one of this gateway, or ""."""
        return check_opaque(token)

    def authorize(self, **how: Any) -> Outcome:
        """Hold an amount; the caller records the id of a `begun` outcome and calls again with it."""
        return self._hold(self._talk.authorize(**how))

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Outcome:
        return self._hold(
            self._talk.capture(
                key=key, reference=reference, authorization=authorization, amount=amount, currency=currency
            )
        )

    def void(self, *, key: str, reference: str, authorization: str) -> Outcome:
        return self._hold(self._talk.void(key=key, reference=reference, authorization=authorization))

    def refund(self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str) -> Outcome:
        return self._hold(
            self._talk.refund(key=key, reference=reference, capture=capture, amount=amount, currency=currency)
        )

    def find(self, *, key: str, sent: Sent | None = None) -> Outcome | None:
        return self._hold(self._talk.find(key=key, sent=sent))

    @property
    def _talk(self) -> Talk:
        found: Talk = self.talk
        return found

    @property
    def _client(self) -> ProviderClient:
        return provider(self.provider)

    def _hold(self, conversation: Conversation[T]) -> T:
        return hold(conversation, self._client.make)
