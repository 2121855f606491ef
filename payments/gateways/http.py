"""The payment provider over HTTP: maps its answers and failures to outcomes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from django.conf import settings

from iso.currencies import amount_text
from payments.gateways.base import TalkingGateway
from payments.gateways.protocol import (
    Capabilities,
    Event,
    Kind,
    LedgerLine,
    NotForUs,
    NotUnderstood,
    Outcome,
    Sent,
)
from payments.gateways.signature import verify
from providers.answers import (
    LONGEST_CODE,
    LONGEST_MESSAGE,
    Unreadable,
    parse,
    read_amount,
    read_count,
    read_id,
    read_list,
    read_words,
)
from providers.conversation import Conversation, doing, reading
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from telemetry.card_numbers import holds_card_number, masked

PROVIDER = "payments"

# Refusals of what is already done: a call of ours succeeded under another key.
ALREADY_DONE = {"capture": "already_captured", "void": "already_voided", "refund": "already_refunded"}
# The provider holds an authorization no more.
EXPIRED = "authorization_expired"
# Our account is misconfigured, not this payment; retry once it is corrected.
OUR_FAULT = {401, 403, 405}
LONGEST_REFERENCE = 100
LONGEST_NAME = 100  # characters, of ids, keys and references in webhooks


class HttpTalk:
    """Calls to settings.PROVIDERS["payments"] as conversations: see `protocol.Talk`."""

    # Money

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str, begun: str = ""
    ) -> Conversation[Outcome]:
        body = {
            "reference": reference,
            "amount": amount_text(amount, currency),
            "currency": currency,
            "token": token,
        }
        return self._order("authorize", "/authorizations", body, key=key)

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        body = {"reference": reference, "authorization": authorization}
        return self._order("capture", "/captures", body | _money(amount, currency), key=key)

    def void(self, *, key: str, reference: str, authorization: str) -> Conversation[Outcome]:
        body = {"reference": reference, "authorization": authorization}
        return self._order("void", "/voids", body, key=key)

    def refund(
        self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        body = {"reference": reference, "capture": capture}
        return self._order("refund", "/refunds", body | _money(amount, currency), key=key)

    # Look-ups

    def find(self, *, key: str, sent: Sent | None = None) -> Conversation[Outcome | None]:
        try:
            return _outcome((yield reading(f"/operations/{quote(key, safe='')}")))
        except ProviderRefused as refused:
            # Any other 404 comes from elsewhere: a wrong URL, or a proxy without a route.
            if refused.status == 404 and refused.code == "not_found":
                return None
            raise ProviderUnavailable(refused.provider, str(refused)) from refused
        except Unreadable as error:
            raise ProviderUnavailable(PROVIDER, f"its answer makes no sense: {error}") from error

    # Inner workings

    def _order(self, kind: str, path: str, body: Mapping[str, str], *, key: str) -> Conversation[Outcome]:
        """Execute an operation and return its outcome."""
        try:
            return _outcome((yield doing(path, body, key=key)))
        except ProviderUnavailable as unavailable:
            return _failed("not_sent", "provider_unavailable", str(unavailable))
        except OutcomeUnknown as unknown:
            return _failed("unknown", "no_answer", str(unknown))
        except Unreadable as error:
            return _failed("unknown", "no_answer", f"The provider's answer makes no sense: {error}.")
        except ProviderRefused as error:
            refused = error
        return (yield from self._refusal(kind, body, refused))

    def _refusal(self, kind: str, body: Mapping[str, str], refused: ProviderRefused) -> Conversation[Outcome]:
        if refused.status in OUR_FAULT or _is_from_elsewhere(refused):
            return _failed("not_sent", refused.code, refused.message)
        if refused.code == "idempotency_conflict":
            # Another operation used this key: unknown until an operator has checked it.
            return _failed("unknown", refused.code, refused.message)
        if kind == "void" and refused.code == EXPIRED:
            return Outcome("succeeded", provider_id=body["authorization"])
        if refused.code == ALREADY_DONE.get(kind):
            return (yield from self._done_before(kind, body, refused))
        return _failed("declined", refused.code, refused.message)

    def _done_before(
        self, kind: str, body: Mapping[str, str], refused: ProviderRefused
    ) -> Conversation[Outcome]:
        """Find the operation with this very effect; if it is another's, the refusal stands."""
        try:
            items = read_list((yield reading("/operations", reference=body["reference"])), "items")
            same = [item for item in items if _has_effect(item, kind, body)]
            return _outcome(same[0]) if same else _failed("declined", refused.code, refused.message)
        except (ProviderUnavailable, ProviderRefused) as trouble:
            return _failed("unknown", refused.code, str(trouble))
        except Unreadable as error:
            return _failed("unknown", refused.code, f"The provider's list makes no sense: {error}.")


class HttpGateway(TalkingGateway):
    """The provider at PAYMENT_API_URL."""

    provider = PROVIDER
    talk = HttpTalk()

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """What its provider can do."""
        days = settings.PAYMENT_AUTHORIZATION_DAYS
        return Capabilities(
            partial_capture=True,
            several_captures=True,
            authorization_expires_after=timedelta(days=days) if days else None,
        )

    def ledger(self, since: datetime | None = None) -> Iterator[LedgerLine]:
        """Stream the whole ledger: the protocol has no window."""
        for line in self._client.lines("/ledger"):
            yield _ledger_line(line)

    def webhook_secrets(self) -> Sequence[str]:
        secrets: list[str] = settings.PAYMENT_WEBHOOK_SECRETS
        return secrets

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Event:
        """Verify `Webhook-Signature` and parse {"id": …, "operation": {…}}."""
        verify(
            header=headers.get("Webhook-Signature", ""), body=body, secrets=self.webhook_secrets(), now=now
        )
        return _event(body)


def _event(body: bytes) -> Event:
    content = parse(body)
    if isinstance(content, dict) and not content.get("operation"):
        raise NotForUs(_type_of(content))
    try:
        event = _read_event(content)
    except Unreadable as error:
        raise NotUnderstood(str(error)) from None
    if any(map(holds_card_number, (event.id, event.outcome.provider_id, event.key))):
        raise NotUnderstood("An event is not named by a card number.")
    return event


def _read_event(content: Any) -> Event:
    event_id, operation = read_id(content, "id", longest=LONGEST_NAME), content.get("operation")
    kind, status, provider_id = (read_id(operation, name) for name in ("kind", "status", "id"))
    code = read_words(operation, "code", longest=LONGEST_CODE)
    message = read_words(operation, "message", longest=LONGEST_MESSAGE)
    event = Event(
        id=event_id,
        kind=kind,
        outcome=Outcome("succeeded", provider_id=provider_id)
        if status == "succeeded"
        else Outcome("declined", code=code, message=message),
        reference=read_id(operation, "reference", longest=LONGEST_NAME),
        key=read_id(operation, "key", longest=LONGEST_NAME),
        amount=read_amount(operation, "amount"),
        currency=read_id(operation, "currency"),
    )
    if status not in ("succeeded", "declined"):
        return event._replace(outcome=Outcome("unknown", provider_id=provider_id))
    return event


def _type_of(content: dict[str, Any]) -> str:
    """Masked: its content is untrusted."""
    event_type = content.get("type")
    return masked(event_type)[:60] if isinstance(event_type, str) and event_type.isprintable() else ""


def _has_effect(item: Any, kind: str, body: Mapping[str, str]) -> bool:
    """Whether the operation has the wanted effect. Raises Unreadable if it is malformed."""
    if (read_id(item, "kind"), read_id(item, "status")) != (kind, "succeeded"):
        return False
    wanted = {name: body[name] for name in ("authorization", "capture", "currency") if name in body}
    is_same = all(item.get(name) == value for name, value in wanted.items())
    return is_same and ("amount" not in body or read_amount(item, "amount") == Decimal(body["amount"]))


def _outcome(operation: Any) -> Outcome:
    status, provider_id = read_id(operation, "status"), read_id(operation, "id")
    if status == "succeeded":
        return Outcome("succeeded", provider_id=provider_id)
    if status == "declined":
        # Providers may send long texts, and echo their input.
        code = read_words(operation, "code", longest=LONGEST_CODE) or "declined"
        return Outcome(
            "declined", code=code, message=read_words(operation, "message", longest=LONGEST_MESSAGE)
        )
    raise Unreadable(f"an operation has no status {status!r}")


def _is_from_elsewhere(refused: ProviderRefused) -> bool:
    """Whether a 404 is without the protocol's error object: a wrong URL, or a proxy without a route."""
    content = refused.content
    return refused.status == 404 and not (
        isinstance(content, dict) and isinstance(content.get("error"), dict)
    )


def _failed(kind: Kind, code: str, message: str) -> Outcome:
    return Outcome(kind, code=masked(code)[:LONGEST_CODE], message=masked(message)[:LONGEST_MESSAGE])


def _ledger_line(line: Any) -> LedgerLine:
    """Return a line of the ledger without its unreadable parts."""
    reference = read_words(line, "reference", longest=LONGEST_REFERENCE)
    try:
        return LedgerLine(
            reference=reference,
            currency=read_id(line, "currency"),
            authorized=read_amount(line, "authorized"),
            captured=read_amount(line, "captured"),
            refunded=read_amount(line, "refunded"),
            voided=read_amount(line, "voided"),
            captures=read_count(line, "captures"),
        )
    except Unreadable as error:
        return LedgerLine(reference=reference, flaw=str(error))


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    return {"amount": amount_text(amount, currency), "currency": currency}
