"""Conversations with Stripe.

An authorization takes two calls. The first creates an intent that moves nothing, and ends as `begun`: its id is
recorded. The second confirms it by id, which only one of any number of repeats can do. So no repeat needs Stripe to
remember a key, and a look-up needs no search. A refund is the one call that a repeat would do twice: its
`metadata.key` is looked for among the intent's refunds first.
"""

from collections.abc import Generator
from decimal import Decimal
from functools import partial
from typing import Any

from django.conf import settings

from payments.gateways.protocol import Kind, Outcome, Sent
from payments.gateways.stripe import reading
from payments.gateways.stripe.amounts import minor_units
from payments.gateways.stripe.calls import INTENTS, REFUNDS, get, page, post
from payments.gateways.stripe.reading import Reading
from providers.answers import LONGEST_CODE, LONGEST_MESSAGE, Unreadable, read_id, read_list
from providers.conversation import Conversation
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from providers.http import Call
from telemetry.card_numbers import masked

PROVIDER = "stripe"
# The account's key is wrong, not this payment.
OUR_FAULT = {401, 403}
# The same key is under way in another request.
IN_USE = 409
CARD_ERROR = 402


class StripeTalk:
    """The calls as conversations: see `payments.gateways.protocol.Talk`."""

    def authorize(
        self, *, key: str, reference: str, amount: Decimal, currency: str, token: str, begun: str = ""
    ) -> Conversation[Outcome]:
        """Create an intent; with its id in `begun`, confirm it."""
        if begun:
            back = {"return_url": settings.STRIPE_RETURN_URL} if settings.STRIPE_RETURN_URL else {}
            call = post(f"{INTENTS}/{begun}/confirm", back, key=f"{key}:confirm")
            return (yield from self._on_intent(call, begun, reading.authorization))
        try:
            units = minor_units(amount, currency)
        except ValueError as error:
            return _failed("declined", "invalid_amount", str(error))
        types = settings.STRIPE_PAYMENT_METHOD_TYPES
        fields: dict[str, str | int] = {
            "amount": units,
            "currency": currency.lower(),
            "payment_method": token,
            "capture_method": "manual",
            "metadata[key]": key,
            "metadata[reference]": reference,
            **{f"payment_method_types[{place}]": name for place, name in enumerate(types)},
        }
        return (yield from self._create(post(INTENTS, fields, key=f"{key}:create")))

    def capture(
        self,
        *,
        key: str,
        reference: str,
        authorization: str,
        amount: Decimal,
        currency: str,
    ) -> Conversation[Outcome]:
        """Capture an intent; the rest of it is released."""
        units = minor_units(amount, currency)
        call = post(f"{INTENTS}/{authorization}/capture", {"amount_to_capture": units}, key=key)
        return (yield from self._on_intent(call, authorization, partial(reading.capture, units=units)))

    def void(
        self,
        *,
        key: str,
        reference: str,
        authorization: str,
    ) -> Conversation[Outcome]:
        """Cancel an intent, confirmed or not."""
        call = post(f"{INTENTS}/{authorization}/cancel", {}, key=key)
        return (yield from self._on_intent(call, authorization, reading.void))

    def refund(
        self, *, key: str, reference: str, capture: str, amount: Decimal, currency: str
    ) -> Conversation[Outcome]:
        fields: dict[str, str | int] = {
            "payment_intent": capture,
            "amount": minor_units(amount, currency),
            "metadata[key]": key,
            "metadata[reference]": reference,
        }
        try:
            return reading.refund((yield post(REFUNDS, fields, key=key)))
        except (ProviderUnavailable, OutcomeUnknown, Unreadable) as trouble:
            return _trouble(trouble)
        except ProviderRefused as error:
            refused = error
        if (outcome := _not_about_money(refused)) is not None:
            return outcome
        return (yield from self._refund_done_before(refused, capture, key))

    def find(self, *, key: str, sent: Sent | None = None) -> Conversation[Outcome | None]:
        """Look up a call by the intent's id, a refund by its intent and `metadata.key`."""
        assert sent is not None, "Stripe has no look-up by key."
        try:
            if sent.kind == "refund":
                return (yield from self._find_refund(sent.parent, key))
            intent_id = sent.provider_id if sent.kind == "authorize" else sent.parent
            if not intent_id:
                return None  # no intent is confirmed before its id is recorded
            intent = yield get(f"{INTENTS}/{intent_id}")
            outcome = _readings(sent)(intent)
            if sent.kind == "authorize" and outcome is not None and outcome.kind == "declined":
                return (yield from self._close(intent, outcome, key))
            return outcome
        except ProviderRefused as refused:
            # Even 404: the key may be another account's.
            raise ProviderUnavailable(refused.provider, str(refused)) from refused
        except Unreadable as error:
            raise ProviderUnavailable(PROVIDER, f"its answer makes no sense: {error}") from error

    # --- Inner workings ---

    def _create(self, call: Call) -> Conversation[Outcome]:
        try:
            return Outcome("begun", provider_id=read_id((yield call), "id"))
        except (ProviderUnavailable, OutcomeUnknown, Unreadable) as trouble:
            # Whatever was created is not confirmed.
            return _failed("not_sent", "not_created", str(trouble))
        except ProviderRefused as refused:
            if (outcome := _not_about_money(refused)) is not None:
                return outcome
            if refused.status == CARD_ERROR:
                return reading.declined(_error(refused))
            return _failed("declined", refused.code, refused.message)

    def _on_intent(self, call: Call, intent_id: str, read: Reading) -> Conversation[Outcome]:
        """Make a call that changes an intent. A refusal is judged by the state of the intent."""
        try:
            outcome = read((yield call))
            return outcome or _failed("unknown", "no_answer", "The intent has not changed.")
        except (ProviderUnavailable, OutcomeUnknown, Unreadable) as trouble:
            return _trouble(trouble)
        except ProviderRefused as error:
            refused = error
        if (outcome := _not_about_money(refused)) is not None:
            return outcome
        if refused.status == CARD_ERROR:
            return reading.declined(_error(refused))
        try:
            outcome = read((yield get(f"{INTENTS}/{intent_id}")))
        except (ProviderUnavailable, ProviderRefused, Unreadable) as trouble:
            return _failed("unknown", refused.code, str(trouble))
        return outcome or _failed("declined", refused.code, refused.message)

    def _close(self, intent: Any, outcome: Outcome, key: str) -> Generator[Call, Any, Outcome | None]:
        """Cancel an intent that was declined, so that the customer cannot pay it any more."""
        intent_id = read_id(intent, "id")
        if read_id(intent, "status") == "canceled":
            return outcome
        try:
            yield post(f"{INTENTS}/{intent_id}/cancel", {}, key=f"{key}:close")
        except OutcomeUnknown as trouble:
            raise ProviderUnavailable(PROVIDER, str(trouble)) from trouble
        except ProviderRefused:
            return reading.authorization((yield get(f"{INTENTS}/{intent_id}")))
        return outcome

    def _refund_done_before(
        self, refused: ProviderRefused, intent_id: str, key: str
    ) -> Conversation[Outcome]:
        try:
            found = yield from self._find_refund(intent_id, key)
        except (ProviderUnavailable, ProviderRefused, Unreadable) as trouble:
            return _failed("unknown", refused.code, str(trouble))
        return found or _failed("declined", refused.code, refused.message)

    def _find_refund(self, intent_id: str, key: str) -> Generator[Call, Any, Outcome | None]:
        after = ""
        while True:
            answer = yield page(REFUNDS, payment_intent=intent_id, after=after)
            refunds = read_list(answer, "data")
            for found in refunds:
                if reading.metadata(found, "key") == key:
                    return reading.refund(found)
            if not refunds or not answer.get("has_more"):
                return None
            after = read_id(refunds[-1], "id")


def _readings(sent: Sent) -> Reading:
    match sent.kind:
        case "authorize":
            return reading.authorization
        case "capture":
            return partial(reading.capture, units=minor_units(sent.amount, sent.currency))
        case "void":
            return reading.void
    raise AssertionError(sent.kind)


def _not_about_money(refused: ProviderRefused) -> Outcome | None:
    """Return the outcome of a refusal that says nothing of the payment; None for others."""
    if refused.status in OUR_FAULT:
        return _failed("not_sent", refused.code, refused.message)
    # Each of Stripe's errors has a type: another server has answered, or a proxy without a route.
    if "type" not in _error(refused):
        return _failed("not_sent", "wrong_address", f"Not Stripe's answer, check STRIPE_API_URL: {refused}")
    if refused.status == IN_USE or _error(refused).get("type") == "idempotency_error":
        return _failed("unknown", "idempotency_conflict", refused.message)
    return None


def _error(refused: ProviderRefused) -> dict[str, Any]:
    error = refused.content.get("error") if isinstance(refused.content, dict) else None
    return error if isinstance(error, dict) else {}


def _trouble(trouble: Exception) -> Outcome:
    if isinstance(trouble, ProviderUnavailable):
        return _failed("not_sent", "provider_unavailable", str(trouble))
    if isinstance(trouble, Unreadable):
        return _failed("unknown", "no_answer", f"The provider's answer makes no sense: {trouble}.")
    return _failed("unknown", "no_answer", str(trouble))


def _failed(kind: Kind, code: str, message: str) -> Outcome:
    return Outcome(kind, code=masked(code)[:LONGEST_CODE], message=masked(message)[:LONGEST_MESSAGE])
