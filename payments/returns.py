"""Reversing payments: void what the provider holds, refund what it captured."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from django.db import transaction

import faults
from payments import ledger
from payments.gateways import gateway
from payments.gateways.protocol import Outcome, Sent
from payments.ledger import Kind, Prepared, Request, State
from payments.models import Transaction
from payments.talking import hold_all, talk
from providers.conversation import Conversation
from providers.errors import ProviderUnavailable


class Returned(StrEnum):
    """How an order's payment was reversed."""

    NOTHING = "nothing"  # there was nothing to reverse
    VOIDED = "voided"  # the authorization was voided
    REFUNDED = "refunded"  # the capture was refunded


# How the payment was reversed, or the outcome that prevented it.
Answer = Returned | Outcome

CAPTURED_AFTER_ALL = Outcome(kind="unknown", code="captured_after_all")
NO_ANSWER_YET = Outcome(kind="unknown", code="no_answer_yet")

DONE_BY = {Kind.VOID: Returned.VOIDED, Kind.REFUND: Returned.REFUNDED}


def reverse_payments(order_ids: Sequence[int], *, now: datetime, patience: float) -> dict[int, Answer]:
    """Void or refund whatever the orders' transactions hold; idempotent.

    Unknown outcomes are looked up first; after `ledger.arrival_grace` a call cannot arrive. Declined
    reversals are sent again under the same key: an operator requested it.

    Look-ups, reversals and the check of declined voids each wait at most `patience` seconds.
    """
    _look_up(order_ids, now=now, patience=patience)
    books = ledger.transactions_of(order_ids)
    answers: dict[int, Answer] = {order_id: _standing(books.get(order_id, {})) for order_id in order_ids}
    to_do = {
        Kind.VOID: [_request(books[o][Kind.AUTHORIZE]) for o in _those(answers, Returned.VOIDED)],
        Kind.REFUND: [_request(books[o][Kind.CAPTURE]) for o in _those(answers, Returned.REFUNDED)],
    }
    return answers | _reverse(to_do, now=now, patience=patience)


def _those(answers: dict[int, Answer], how: Returned) -> list[int]:
    return [order_id for order_id, answer in answers.items() if answer is how]


def _standing(book: dict[str, Transaction]) -> Answer:
    authorization, capture = book.get(Kind.AUTHORIZE), book.get(Kind.CAPTURE)
    if authorization is not None and capture is None and _is_voidable_undecided(authorization):
        return Returned.VOIDED
    for entry in (authorization, capture):
        if entry is not None and entry.state == State.UNKNOWN:
            return Outcome(kind="unknown", code=entry.code, message=entry.message)
    if capture is not None and capture.state == State.SUCCEEDED:
        return Returned.REFUNDED
    if authorization is not None and authorization.state == State.SUCCEEDED:
        return Returned.VOIDED
    return Returned.NOTHING


def _is_voidable_undecided(authorization: Transaction) -> bool:
    """Whether the provider has begun it by an id under which it can be voided: then it cannot succeed any more."""
    is_begun = authorization.state == State.UNKNOWN and bool(authorization.provider_id)
    return is_begun and gateway(authorization.gateway).capabilities.void_undecided


def _request(base: Transaction) -> Request:
    return Request(
        order_id=base.order_id,
        reference=str(base.reference),
        amount=base.amount,
        currency=base.currency,
        parent=base.provider_id,
        gateway=base.gateway,
    )


def _reverse(to_do: Mapping[Kind, Sequence[Request]], *, now: datetime, patience: float) -> dict[int, Answer]:
    if not any(to_do.values()):
        return {}
    with transaction.atomic():
        prepared = [one for kind, requests in to_do.items() for one in _prepare(kind, requests)]
        faults.point("return_money.before_intent_commit")
    outcomes = ledger.send(prepared, patience=patience, on_late=_record_late)
    faults.point("return_money.before_record")
    for kind in to_do:
        ledger.record(kind, _outcomes_of(kind, prepared, outcomes))
    voids = _outcomes_of(Kind.VOID, prepared, outcomes)
    # Those that were not decided never will be.
    voided = [order_id for order_id, outcome in voids.items() if outcome.kind == "succeeded"]
    ledger.record(Kind.AUTHORIZE, dict.fromkeys(voided, Outcome(kind="declined", code="voided")))
    captured = _captured_after_all(
        [o for o, outcome in voids.items() if outcome.kind == "declined"], now, patience
    )
    order_ids = [request.order_id for requests in to_do.values() for request in requests]
    answers: dict[int, Answer] = dict.fromkeys(order_ids, NO_ANSWER_YET)
    for one in prepared:
        if outcome := outcomes.get(one.request.order_id):
            answers[one.request.order_id] = _answer(one, outcome)
    return answers | dict.fromkeys(captured, CAPTURED_AFTER_ALL)


def _prepare(kind: Kind, requests: Sequence[Request]) -> list[Prepared]:
    if not requests:
        return []
    ledger.reopen(kind, [request.order_id for request in requests])
    return ledger.prepare(kind, ledger.listed(requests))


def _outcomes_of(
    kind: Kind, prepared: Sequence[Prepared], outcomes: Mapping[int, Outcome]
) -> dict[int, Outcome]:
    order_ids = [p.request.order_id for p in prepared if p.kind is kind]
    return {order_id: outcomes[order_id] for order_id in order_ids if order_id in outcomes}


def _answer(prepared: Prepared, outcome: Outcome) -> Answer:
    if outcome.kind == "succeeded":
        return DONE_BY[prepared.kind]
    if outcome.kind != "declined":
        return outcome
    call = f"{prepared.kind.label} of {prepared.request.amount} {prepared.request.currency}"
    return outcome._replace(
        message=f"{call} refused by the provider: {outcome.code} {outcome.message}".strip()
    )


def _captured_after_all(order_ids: Sequence[int], now: datetime, patience: float) -> set[int]:
    """Return those whose abandoned capture arrived, which need a refund instead of a void.

    Also the uncertain ones: they are not refused, but retried.
    """
    captures = ledger.not_refused(Kind.CAPTURE, order_ids)
    found = _find_all(captures, now=now, patience=patience)
    arrived = {entry.order_id: outcome for entry, outcome in found if outcome.kind == "succeeded"}
    ledger.record(Kind.CAPTURE, arrived)
    never_arrived = {entry.order_id for entry, outcome in found if outcome.kind == "declined"}
    return {capture.order_id for capture in captures} - never_arrived


def _record_late(prepared: Prepared, outcome: Outcome) -> None:
    ledger.record(prepared.kind, {prepared.request.order_id: outcome})


def _look_up(order_ids: Sequence[int], *, now: datetime, patience: float) -> None:
    kinds = (Kind.AUTHORIZE, Kind.CAPTURE)
    unknown = [entry for kind in kinds for entry in ledger.unknown_of(kind, order_ids)]
    found = _find_all(unknown, now=now, patience=patience)
    for kind in kinds:
        ledger.record(kind, {entry.order_id: outcome for entry, outcome in found if entry.kind == kind})


def _find_all(
    entries: Sequence[Transaction], *, now: datetime, patience: float
) -> list[tuple[Transaction, Outcome]]:
    if early := [entry for entry in entries if entry.asked_at > now + ledger.arrival_grace()]:
        ledger.restart_grace(early)
    gathered = hold_all(
        [_find(entry, now) for entry in entries],
        gateways=[entry.gateway for entry in entries],
        patience=patience,
        on_late=_ignore,
    )
    return [(entries[place], outcome) for place, outcome in gathered.results.items()]


def _sent(entry: Transaction) -> Sent:
    return Sent(
        str(entry.kind),
        str(entry.reference),
        entry.amount,
        entry.currency,
        parent=entry.provider_parent,
        provider_id=entry.provider_id,
    )


def _ignore(index: int, answer: Outcome) -> None:
    """A look-up that is late is made again."""


def _find(entry: Transaction, now: datetime) -> Conversation[Outcome]:
    """Look up a transaction; declined once it can no longer arrive."""
    try:
        found = yield from ledger.looking_up(talk(entry.gateway), key=entry.key, sent=_sent(entry))
    except ProviderUnavailable as unavailable:
        return Outcome(kind="unknown", code=ledger.LOOKUP_FAILED, message=str(unavailable)[:200])
    if found is not None:
        return found
    if now - entry.asked_at > ledger.arrival_grace():
        return Outcome(kind="declined", code=ledger.NEVER_ARRIVED, message="The provider never saw it.")
    return Outcome(kind="unknown", code="not_seen_yet", message="The provider has not seen it yet.")
