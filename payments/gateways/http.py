"""The payment provider over HTTP: maps its answers and failures to outcomes."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

from payments.gateways.protocol import Kind, LedgerLine, Outcome
from providers.answers import (
    LONGEST_CODE,
    LONGEST_MESSAGE,
    Unreadable,
    read_amount,
    read_count,
    read_id,
    read_list,
    read_words,
)
from providers.conversation import Conversation, doing, hold, reading
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import ProviderClient, provider
from telemetry.card_numbers import masked

T = TypeVar("T")

# Refusals of what is already done: a call of ours succeeded under another key.
ALREADY_DONE = {"capture": "already_captured", "void": "already_voided", "refund": "already_refunded"}
# Our account is misconfigured, not this payment; retry once it is corrected.
OUR_FAULT = {401, 403, 405}
LONGEST_REFERENCE = 100


class HttpTalk:
    """Calls to settings.PROVIDERS["payments"] as conversations: see `protocol.Talk`."""

    # Money

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str
    ) -> Conversation[Outcome]:
        body = {"reference": reference, "amount": _text(amount), "currency": currency, "token": token}
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

    def find(self, *, key: str) -> Conversation[Outcome | None]:
        try:
            return _outcome((yield reading(f"/operations/{quote(key, safe='')}")))
        except ProviderRefused as refused:
            # Any other 404 comes from elsewhere: a wrong URL, or a proxy without a route.
            if refused.status == 404 and refused.code == "not_found":
                return None
            raise ProviderUnavailable(refused.provider, str(refused)) from refused
        except Unreadable as error:
            raise ProviderUnavailable("payments", f"its answer makes no sense: {error}") from error

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
        if refused.status in OUR_FAULT:
            return _failed("not_sent", refused.code, refused.message)
        if refused.code == "idempotency_conflict":
            # Another operation used this key: unknown until an operator has checked it.
            return _failed("unknown", refused.code, refused.message)
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


class HttpGateway:
    """Runs one conversation of `HttpTalk` at a time, on the caller's thread."""

    waits = True
    talk = HttpTalk()

    def authorize(self, *, key: str, reference: str, amount: Decimal, currency: str, token: str) -> Outcome:
        return self._hold(
            self.talk.authorize(key=key, reference=reference, amount=amount, currency=currency, token=token)
        )

    def capture(
        self, *, key: str, reference: str, authorization: str, amount: Decimal, currency: str
    ) -> Outcome:
        return self._hold(
            self.talk.capture(
                key=key, reference=reference, authorization=authorization, amount=amount, currency=currency
            )
        )

    def void(self, *, key: str, reference: str, authorization: str) -> Outcome:
        return self._hold(self.talk.void(key=key, reference=reference, authorization=authorization))

    def refund(self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str) -> Outcome:
        return self._hold(
            self.talk.refund(key=key, reference=reference, capture=capture, amount=amount, currency=currency)
        )

    def find(self, *, key: str) -> Outcome | None:
        return self._hold(self.talk.find(key=key))

    def ledger(self) -> Iterator[LedgerLine]:
        for line in self._client.lines("/ledger"):
            yield _ledger_line(line)

    @property
    def _client(self) -> ProviderClient:
        return provider("payments")

    def _hold(self, conversation: Conversation[T]) -> T:
        return hold(conversation, self._client.make)


def _has_effect(item: Any, kind: str, body: Mapping[str, str]) -> bool:
    """Whether the operation has the wanted effect. Raises Unreadable if it is malformed."""
    if (read_id(item, "kind"), read_id(item, "status")) != (kind, "succeeded"):
        return False
    wanted = {name: body[name] for name in ("authorization", "capture", "amount", "currency") if name in body}
    return all(item.get(name) == value for name, value in wanted.items())


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
    return {"amount": _text(amount), "currency": currency}


def _text(amount: Decimal) -> str:
    return f"{amount:.2f}"
