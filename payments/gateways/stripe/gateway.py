"""Stripe as a payment gateway."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from payments.gateways.base import TalkingGateway, check_opaque
from payments.gateways.protocol import Capabilities, Event, LedgerLine
from payments.gateways.stripe import events, reading
from payments.gateways.stripe.amounts import amount_of
from payments.gateways.stripe.calls import INTENTS, get, page
from payments.gateways.stripe.talk import PROVIDER, StripeTalk
from providers.answers import Unreadable, read_count, read_id, read_list, read_words
from providers.errors import ProviderRefused, ProviderUnavailable

# A payment method, or a card or source of the older APIs.
TOKEN = re.compile(r"(pm|card|src)_[A-Za-z0-9_]+", re.ASCII)
# Clocks differ.
MARGIN = timedelta(minutes=5)


class StripeGateway(TalkingGateway):
    """The account of STRIPE_API_KEY."""

    provider = PROVIDER
    talk = StripeTalk()
    capabilities = Capabilities(
        partial_capture=True,
        asynchronous_refunds=True,
        lookup_by_key=False,
        void_undecided=True,
        authorization_expires_after=timedelta(days=7),
        keys_expire_after=timedelta(hours=24),
    )

    def check_token(self, token: str) -> str:
        """Return why it is no payment method of Stripe, or ""."""
        return check_opaque(token) or ("" if TOKEN.fullmatch(token) else "A payment method, such as pm_….")

    def ledger(self, since: datetime | None = None) -> Iterator[LedgerLine]:
        """Stream the intents that moved money, newest first, of those created since a moment."""
        window: dict[str, Any] = (
            {"created[gte]": int((since - MARGIN).timestamp())} if since is not None else {}
        )
        after, has_more = "", True
        while has_more:
            intents, has_more = self._page(after, window)
            yield from filter(None, map(_line, intents))
            after = read_id(intents[-1], "id") if intents else ""

    def _page(self, after: str, window: Mapping[str, Any]) -> tuple[list[Any], bool]:
        call = page(INTENTS, after=after, **window, **{"expand[]": "data.latest_charge"})
        try:
            answer = self._client.make(call)
            intents = read_list(answer, "data")
        except (ProviderRefused, Unreadable) as error:
            raise ProviderUnavailable(PROVIDER, f"its ledger cannot be read: {error}") from error
        return intents, bool(answer.get("has_more")) and bool(intents)

    def webhook_secrets(self) -> Sequence[str]:
        secrets: list[str] = settings.STRIPE_WEBHOOK_SECRETS
        return secrets

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Event:
        """Verify `Stripe-Signature` and parse the event."""
        events.verify(headers.get("Stripe-Signature", ""), body, secrets=self.webhook_secrets(), now=now)
        event = events.read_event(body)
        # A dispute has none of the intent's metadata.
        return event._replace(reference=self._reference(event.parent)) if event.kind == "dispute" else event

    def _reference(self, intent_id: str) -> str:
        if not intent_id:
            return ""
        try:
            return reading.metadata(self._client.make(get(f"{INTENTS}/{intent_id}")), "reference")
        except ProviderRefused as refused:
            if refused.status == 404:
                return ""
            raise ProviderUnavailable(PROVIDER, str(refused)) from refused


def _line(intent: Any) -> LedgerLine | None:
    """Return what an intent has moved; None if nothing."""
    reference = reading.metadata(intent, "reference")
    try:
        charge = intent.get("latest_charge")
        if not isinstance(charge, dict) or read_id(charge, "status") != "succeeded":
            return None
        currency = read_words(intent, "currency", longest=3).upper()
        amount, captured = read_count(intent, "amount"), _captured(intent, charge)
        is_closed = read_id(intent, "status") in ("succeeded", "canceled")
        return LedgerLine(
            reference=reference,
            currency=currency,
            authorized=amount_of(amount, currency),
            captured=amount_of(captured, currency),
            refunded=amount_of(read_count(charge, "amount_refunded"), currency),
            voided=amount_of(amount - captured if is_closed else 0, currency),
            captures=int(captured > 0),
        )
    except Unreadable as error:
        return LedgerLine(reference=reference, flaw=str(error))


def _captured(intent: Any, charge: Any) -> int:
    if "amount_received" in intent:
        return read_count(intent, "amount_received")
    return read_count(charge, "amount") if charge.get("captured") is True else 0
