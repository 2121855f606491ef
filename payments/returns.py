"""Giving money back: whatever the provider holds or has for an order, it shall hold and have no longer."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial

from django.db import transaction

import faults
from payments import ledger
from payments.gateways import gateway
from payments.gateways.protocol import Outcome
from payments.ledger import Kind, Prepared, Request, State
from payments.models import Transaction
from providers.concurrency import concurrently
from providers.errors import ProviderUnavailable


class Returned(StrEnum):
    """How an order's money was given back."""

    NOTHING = "nothing"  # there was nothing to give back
    VOIDED = "voided"  # the hold on the card is gone
    REFUNDED = "refunded"  # what was taken went back


# What came of it: done, and how; or what the provider said, or did not say, instead.
Answer = Returned | Outcome

DONE_BY = {Kind.VOID: Returned.VOIDED, Kind.REFUND: Returned.REFUNDED}


def give_back(order_ids: Sequence[int], *, now: datetime, patience: float) -> dict[int, Answer]:
    """Void or refund whatever the orders' transactions hold. Return how each stands; bears any repeat.

    1. Look up by key what is not known to have happened. 2. Void what was only authorized, refund what was
    captured. A transaction that the provider has not seen after `ledger.arrival_grace` never arrives there.
    An order whose void or refund was declined is asked for again under the same key: a person wants it so.
    """
    _look_up(order_ids, now=now, patience=patience)
    books = ledger.transactions_of(order_ids)
    answers: dict[int, Answer] = {order_id: _standing(books.get(order_id, {})) for order_id in order_ids}
    answers |= _carry_out(Kind.VOID, [_void(books[o]) for o in _those(answers, Returned.VOIDED)], patience)
    answers |= _carry_out(
        Kind.REFUND, [_refund(books[o]) for o in _those(answers, Returned.REFUNDED)], patience
    )
    return answers


def _those(answers: dict[int, Answer], how: Returned) -> list[int]:
    return [order_id for order_id, answer in answers.items() if answer is how]


def _standing(book: dict[str, Transaction]) -> Answer:
    """Decide by what is written down what has to be done for one order."""
    authorization, capture = book.get(Kind.AUTHORIZE), book.get(Kind.CAPTURE)
    for entry in (authorization, capture):
        if entry is not None and entry.state == State.UNKNOWN:
            return Outcome(kind="unknown", code=entry.code, message=entry.message)
    if capture is not None and capture.state == State.SUCCEEDED:
        return Returned.REFUNDED
    if authorization is not None and authorization.state == State.SUCCEEDED:
        return Returned.VOIDED
    return Returned.NOTHING


def _void(book: dict[str, Transaction]) -> Request:
    return _request(book[Kind.AUTHORIZE])


def _refund(book: dict[str, Transaction]) -> Request:
    return _request(book[Kind.CAPTURE])


def _request(base: Transaction) -> Request:
    return Request(
        order_id=base.order_id,
        reference=str(base.reference),
        amount=base.amount,
        currency=base.currency,
        parent=base.provider_id,
    )


def _carry_out(kind: Kind, requests: Sequence[Request], patience: float) -> dict[int, Answer]:
    """Void or refund, and return for each order that it is done, or what was said instead."""
    if not requests:
        return {}
    with transaction.atomic():
        ledger.reopen(kind, [request.order_id for request in requests])
        prepared = ledger.prepare(kind, ledger.listed(requests))
        faults.point("return_money.before_intent_commit")
    outcomes = ledger.ask(prepared, patience=patience, on_late=partial(_record_late, kind))
    faults.point("return_money.before_record")
    ledger.record(kind, outcomes)
    return {request.order_id: _answer(kind, request, outcomes.get(request.order_id)) for request in requests}


def _answer(kind: Kind, request: Request, outcome: Outcome | None) -> Answer:
    if outcome is None:
        return Outcome(kind="unknown", code="no_answer_yet")
    if outcome.kind == "succeeded":
        return DONE_BY[kind]
    if outcome.kind != "declined":
        return outcome
    if kind is Kind.VOID and _was_captured_after_all(request):
        return Outcome(kind="unknown", code="captured_after_all")
    words = f"{kind.label} of {request.amount} {request.currency} refused by the provider: {outcome.code}"
    return outcome._replace(message=f"{words} {outcome.message}".strip())


def _was_captured_after_all(request: Request) -> bool:
    """Whether a capture that we had given up arrived there, so that a refund and no void is what is needed."""
    capture = ledger.transactions_of([request.order_id])[request.order_id].get(Kind.CAPTURE)
    if capture is None:
        return False
    try:
        found = ledger.look_up(gateway(), key=capture.key)
    except ProviderUnavailable:
        return True  # not known, so not refused: look again
    return found is not None and request.order_id in ledger.record(Kind.CAPTURE, {request.order_id: found})


def _record_late(kind: Kind, prepared: Prepared, outcome: Outcome) -> None:
    ledger.record(kind, {prepared.request.order_id: outcome})


def _look_up(order_ids: Sequence[int], *, now: datetime, patience: float) -> None:
    """Ask the provider by key what came of every authorization and capture that is not known."""
    for kind in (Kind.AUTHORIZE, Kind.CAPTURE):
        unknown = ledger.unknown_of(kind, order_ids)
        calls = [partial(_find, entry, now) for entry in unknown]
        gathered = concurrently(calls, patience=patience, on_late=_ignore, inline=not gateway().waits)
        ledger.record(kind, {unknown[index].order_id: answer for index, answer in gathered.results.items()})


def _ignore(index: int, answer: Outcome) -> None:
    """A look-up that came too late is simply made again."""


def _find(entry: Transaction, now: datetime) -> Outcome:
    """Return what the provider says of a transaction; declined once it can no longer arrive there."""
    try:
        found = ledger.look_up(gateway(), key=entry.key)
    except ProviderUnavailable as unavailable:
        return Outcome(kind="unknown", code=ledger.LOOKUP_FAILED, message=str(unavailable)[:200])
    if found is not None:
        return found
    if now - entry.asked_at > ledger.arrival_grace():
        return Outcome(kind="declined", code=ledger.NEVER_ARRIVED, message="The provider never saw it.")
    return Outcome(kind="unknown", code="not_seen_yet", message="The provider has not seen it yet.")
