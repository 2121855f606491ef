"""Bulk placement: a chunk of independent orders in one transaction of a few set-wise statements."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from django.db import IntegrityError, transaction

from api.managers import Claim
from api.models import IdempotencyKey, KeyReused
from orders.models import Journey, Order, order_numbers
from orders.placing import origin, references
from orders.placing.pricing import REFUSALS, Catalogue, NewOrder, Priced, ReferenceTaken, price


class Entry(msgspec.Struct, frozen=True):
    """An order of a chunk, with its idempotency key."""

    new: NewOrder
    key: str = ""
    fingerprint: bytes = b""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A stored order; `replayed` if by an earlier request."""

    order_id: int
    number: str
    replayed: bool = False


Outcome = Accepted | Exception


class _Candidate(NamedTuple):
    entry: Entry
    priced: Priced


def place_orders(*, entries: Sequence[Entry], owner_id: int) -> list[Outcome]:
    """Store a chunk, best of about a thousand. Return the outcomes in order. Raises OperationalError."""
    outcomes: dict[int, Outcome] = {}
    waiting = list(range(len(entries)))
    while waiting:
        try:
            outcomes |= _round({index: entries[index] for index in waiting}, owner_id)
        except IntegrityError as error:
            # Stored concurrently: the next round finds it.
            if not references.is_taken(error):
                raise
        # Left: keys and references stored concurrently, or by an earlier line, or keys refused at first.
        waiting = [index for index in waiting if index not in outcomes]
    return [outcomes[index] for index in range(len(entries))]


def _round(entries: dict[int, Entry], owner_id: int) -> dict[int, Outcome]:
    """Decide at least the first entry of each key."""
    first = {entry.key: index for index, entry in reversed(entries.items()) if entry.key}
    with transaction.atomic():
        outcomes, candidates = _price(
            {index: entry for index, entry in entries.items() if first.get(entry.key, index) == index},
            IdempotencyKey.objects.stored(owner_id=owner_id, keys=list(first)),
        )
        outcomes |= _refuse_taken(candidates, owner_id)
        outcomes |= _store(_first_of_references(candidates, outcomes), owner_id)
    for index, entry in entries.items():
        if index not in outcomes and (original := outcomes.get(first.get(entry.key, index))) is not None:
            outcome = _repeat_outcome(original, entry, entries[first[entry.key]])
            if outcome is not None:
                outcomes[index] = outcome
    return outcomes


def _repeat_outcome(original: Outcome, entry: Entry, first: Entry) -> Outcome | None:
    """Return a repeat's outcome; None if it has to be tried itself."""
    if entry.fingerprint == first.fingerprint:
        return (
            Accepted(original.order_id, original.number, replayed=True)
            if isinstance(original, Accepted)
            else original
        )
    return KeyReused() if isinstance(original, Accepted) else None


def _price(
    entries: dict[int, Entry], stored: dict[str, tuple[bytes, dict[str, Any]]]
) -> tuple[dict[int, Outcome], dict[int, _Candidate]]:
    """Return outcomes of repeats and refusals, and the priced others."""
    outcomes: dict[int, Outcome] = {}
    candidates: dict[int, _Candidate] = {}
    catalogue = Catalogue(
        line for entry in entries.values() if entry.key not in stored for line in entry.new.lines
    )
    for index, entry in entries.items():
        if entry.key in stored:
            fingerprint, answer = stored[entry.key]
            outcomes[index] = _accepted(answer) if fingerprint == entry.fingerprint else KeyReused()
            continue
        try:
            candidates[index] = _Candidate(entry, price(entry.new, catalogue))
        except REFUSALS as refusal:
            outcomes[index] = refusal
    return outcomes, candidates


# --- References -------------------------------------------------------------------------------------------


def _refuse_taken(candidates: dict[int, _Candidate], owner_id: int) -> dict[int, Outcome]:
    wanted = {candidate.entry.new.external_reference for candidate in candidates.values()} - {""}
    taken = references.numbers_of(wanted, owner_id=owner_id)
    return {
        index: ReferenceTaken(reference=reference, number=taken[reference])
        for index, candidate in candidates.items()
        if (reference := candidate.entry.new.external_reference) in taken
    }


def _first_of_references(
    candidates: dict[int, _Candidate], outcomes: dict[int, Outcome]
) -> dict[int, _Candidate]:
    """Return the undecided candidates, of each reference the first. The next round refuses the others."""
    seen: set[str] = set()
    kept = {}
    for index, candidate in candidates.items():
        reference = candidate.entry.new.external_reference
        if index in outcomes or reference in seen:
            continue
        kept[index] = candidate
        if reference:
            seen.add(reference)
    return kept


# --- Storing ----------------------------------------------------------------------------------------------


def _store(candidates: dict[int, _Candidate], owner_id: int) -> dict[int, Outcome]:
    """Store orders, without those whose key was stored concurrently."""
    if not candidates:
        return {}
    placed_at, ids = Order.objects.take_ids(len(candidates))
    answers = {
        index: Accepted(order_id, number)
        for index, order_id, number in zip(candidates, ids, order_numbers(ids, placed_at), strict=True)
    }
    kept = _claim(candidates, answers, owner_id)
    _insert({answer.order_id: candidates[index].priced for index, answer in kept.items()})
    return dict(kept)


def _insert(orders: dict[int, Priced]) -> None:
    if orders:
        Order.objects.place_many(
            {order_id: priced.row() for order_id, priced in orders.items()},
            [(order_id, line) for order_id, priced in orders.items() for line in priced.lines],
            origin=origin.of_request(),
            extras={
                order_id: extras
                for order_id, priced in orders.items()
                if (extras := priced.extras) is not None
            },
        )


# --- Keys -------------------------------------------------------------------------------------------------


def _accepted(answer: dict[str, Any]) -> Accepted:
    """Return a stored answer; a dummy for other requests, whose fingerprint never matches."""
    return Accepted(answer.get("orderId", 0), answer.get("orderNumber", ""), replayed=True)


def _claim(
    candidates: dict[int, _Candidate], answers: dict[int, Accepted], owner_id: int
) -> dict[int, Accepted]:
    """Store the keys. Return the answers of new keys and of orders without."""
    keyed = {index: candidate.entry for index, candidate in candidates.items() if candidate.entry.key}
    if not keyed:
        return answers
    claimed = IdempotencyKey.objects.claim_many(
        owner_id=owner_id,
        claims=[
            Claim(entry.key, entry.fingerprint, _answer_json(answers[index]))
            for index, entry in keyed.items()
        ],
    )
    return {i: answer for i, answer in answers.items() if i not in keyed or keyed[i].key in claimed}


def _answer_json(answer: Accepted) -> str:
    return f'{{"orderId": {answer.order_id}, "orderNumber": "{answer.number}"}}'


# --- Back-pressure ----------------------------------------------------------------------------------------

POLL_SECONDS = 1.0


class _BacklogCache:
    """Cache of a count that found room: counting a long backlog is slow."""

    limit = 0
    until = 0.0


def is_backlogged(*, limit: int) -> bool:
    """Whether more than `limit` orders are due; cached if not."""
    if limit == _BacklogCache.limit and time.monotonic() < _BacklogCache.until:
        return False
    found = Journey.objects.are_due(limit + 1)
    if not found:
        _BacklogCache.limit, _BacklogCache.until = limit, time.monotonic() + POLL_SECONDS
    return found
