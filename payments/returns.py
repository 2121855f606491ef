"""Giving money back: whatever the provider holds or has for an order, it shall hold and have no longer."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from django.conf import settings
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
    """What came of giving an order's money back."""

    NOTHING = "nothing"  # there was nothing to give back
    VOIDED = "voided"  # the hold on the card is gone
    REFUNDED = "refunded"  # what was taken went back
    NOT_YET = "not_yet"  # not known, or not done: try again


def give_back(order_ids: Sequence[int], *, now: datetime, patience: float) -> dict[int, Returned]:
    """Void or refund whatever the orders' transactions hold. Return how each stands; bears any repeat.

    1. Look up by key what is not known to have happened. 2. Void what was only authorized, refund what was
    captured. A transaction that the provider has not seen after `arrival_grace` will never arrive there.
    """
    _look_up(order_ids, now=now, patience=patience)
    books = ledger.transactions_of(order_ids)
    returned = {order_id: _standing(books.get(order_id, {})) for order_id in order_ids}
    voids = [_void(books[order_id]) for order_id, how in returned.items() if how is Returned.VOIDED]
    refunds = [_refund(books[order_id]) for order_id, how in returned.items() if how is Returned.REFUNDED]
    done = _carry_out(Kind.VOID, voids, patience) | _carry_out(Kind.REFUND, refunds, patience)
    return {
        order_id: how
        if how in (Returned.NOTHING, Returned.NOT_YET) or done.get(order_id)
        else Returned.NOT_YET
        for order_id, how in returned.items()
    }


def arrival_grace() -> timedelta:
    """Return how long after it was started a call may still reach the provider."""
    return timedelta(seconds=settings.EXTERNAL_TIMEOUT_SECONDS * settings.EXTERNAL_RETRY_ATTEMPTS + 5)


def _standing(book: dict[str, Transaction]) -> Returned:
    """Decide by what is written down what has to be done for one order."""
    authorization, capture = book.get(Kind.AUTHORIZE), book.get(Kind.CAPTURE)
    if State.UNKNOWN in (getattr(authorization, "state", None), getattr(capture, "state", None)):
        return Returned.NOT_YET
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


def _carry_out(kind: Kind, requests: Sequence[Request], patience: float) -> dict[int, bool]:
    """Void or refund, and return for each order whether it is done."""
    with transaction.atomic():
        prepared = ledger.prepare(kind, requests)
        faults.point("return_money.before_intent_commit")
    outcomes = ledger.ask(prepared, patience=patience, on_late=partial(_record_late, kind))
    faults.point("return_money.before_record")
    ledger.record(kind, outcomes)
    return {order_id: outcome.kind == "succeeded" for order_id, outcome in outcomes.items()}


def _record_late(kind: Kind, prepared: Prepared, outcome: Outcome) -> None:
    ledger.record(kind, {prepared.request.order_id: outcome})


def _look_up(order_ids: Sequence[int], *, now: datetime, patience: float) -> None:
    """Ask the provider by key what came of every authorization and capture that is not known."""
    for kind in (Kind.AUTHORIZE, Kind.CAPTURE):
        unknown = list(Transaction.objects.filter(order_id__in=order_ids, kind=kind, state=State.UNKNOWN))
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
        return Outcome(kind="unknown", code="lookup_failed", message=str(unavailable)[:200])
    if found is not None:
        return found
    if now - entry.started_at > arrival_grace():
        return Outcome(kind="declined", code="never_arrived", message="The provider never saw it.")
    return Outcome(kind="unknown", code="not_seen_yet", message="The provider has not seen it yet.")
