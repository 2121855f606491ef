"""Reversing payments: void what the provider holds, refund what it captured."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.conf import settings
from django.db import transaction

import faults
from iso.currencies import format_amount
from payments import ledger
from payments.balance import balance, capture_to_refund, latest, left_of, next_number
from payments.calls import FIRST, Prepared, Request
from payments.gateways import gateway
from payments.gateways.protocol import UNDECIDED, Outcome, Sent
from payments.ledger import Kind, Recorded, State
from payments.models import Transaction
from payments.talking import hold_all, talk
from providers.conversation import Conversation
from providers.errors import ProviderUnavailable


class Returned(StrEnum):
    """How an order's payment was reversed."""

    NOTHING = "nothing"  # there was nothing to reverse
    VOIDED = "voided"  # the authorization was voided
    REFUNDED = "refunded"  # the capture was refunded


Answer = Returned | Outcome

CAPTURED_AFTER_ALL = Outcome(kind="unknown", code="captured_after_all")
NO_ANSWER_YET = Outcome(kind="unknown", code="no_answer_yet")
MORE_TO_REFUND = Outcome(kind="unknown", code="more_to_refund")


def reverse_payments(order_ids: Sequence[int], *, now: datetime) -> dict[int, Answer]:
    """Void or refund whatever the orders' transactions hold; idempotent.

    Look-ups, reversals and the check of declined voids each wait at most settings.STRAGGLER_PATIENCE_SECONDS.
    """
    _look_up(order_ids, now=now)
    books = ledger.entries_of(order_ids)
    uncertain = _look_up_abandoned(books, now=now)
    answers: dict[int, Answer] = {order_id: _standing(books.get(order_id, [])) for order_id in order_ids}
    answers |= dict.fromkeys(uncertain, NO_ANSWER_YET)
    to_do = {
        Kind.VOID: [_void(books[o]) for o in _those(answers, Returned.VOIDED)],
        Kind.REFUND: [
            _refund(books[o]) for o in _those(answers, Returned.REFUNDED) if not _is_refunded(books[o])
        ],
    }
    return answers | _reverse(to_do, books, now=now)


def _those(answers: dict[int, Answer], how: Returned) -> list[int]:
    return [order_id for order_id, answer in answers.items() if answer is how]


def _standing(book: Sequence[Transaction]) -> Answer:
    if _is_voidable_undecided(book):
        return Returned.VOIDED
    for entry in book:
        if entry.kind in (Kind.AUTHORIZE, Kind.CAPTURE) and entry.state == State.UNKNOWN:
            undecided = next((kind for kind in UNDECIDED if kind == entry.code), None)
            return Outcome(kind=undecided or "unknown", code=entry.code, message=entry.message)
    is_captured = any(entry.kind == Kind.CAPTURE and entry.state == State.SUCCEEDED for entry in book)
    if is_captured and (_is_released(book) or not _is_refunded(book)):
        return Returned.REFUNDED
    if any(entry.kind == Kind.AUTHORIZE and entry.state == State.SUCCEEDED for entry in book):
        return Returned.VOIDED
    return Returned.NOTHING


def _is_released(book: Sequence[Transaction]) -> bool:
    """Whether nothing of the authorization is held any more: all is captured, or the rest is voided."""
    done = [entry for entry in book if entry.state == State.SUCCEEDED]
    captured = sum((entry.amount for entry in done if entry.kind == Kind.CAPTURE), Decimal(0))
    authorized = sum((entry.amount for entry in done if entry.kind == Kind.AUTHORIZE), Decimal(0))
    return captured >= authorized or any(entry.kind == Kind.VOID for entry in done)


def _is_voidable_undecided(book: Sequence[Transaction]) -> bool:
    if any(entry.kind == Kind.CAPTURE for entry in book):
        return False
    begun = (e for e in book if e.kind == Kind.AUTHORIZE and e.state == State.UNKNOWN and e.provider_id)
    return any(gateway(entry.gateway).capabilities.void_undecided for entry in begun)


def _is_refunded(book: Sequence[Transaction]) -> bool:
    sums = balance(book)
    return sums.left <= 0 and sums.pending == 0


def _void(book: Sequence[Transaction]) -> Request:
    authorization = next(e for e in book if e.kind == Kind.AUTHORIZE)
    last = latest(book, Kind.VOID)
    captured = sum(
        (e.amount for e in book if e.kind == Kind.CAPTURE and e.state == State.SUCCEEDED), Decimal(0)
    )
    rest = authorization.amount - captured
    if last is None:
        return _request(authorization, rest, FIRST[Kind.VOID], 1)
    if last.state == State.DECLINED:
        return _request(authorization, rest, next_number(book, Kind.VOID), last.attempt + 1)
    return _request(authorization, last.amount, last.number, last.attempt)


def _refund(book: Sequence[Transaction]) -> Request:
    for entry in book:
        if entry.kind == Kind.REFUND and entry.state == State.UNKNOWN:
            capture = next(e for e in book if e.number == (entry.parent or FIRST[Kind.CAPTURE]))
            request = _request(capture, entry.amount, entry.number, entry.attempt)
            return request._replace(credit=entry.credit)
    number = capture_to_refund(book).number
    capture = next(entry for entry in book if entry.number == number)
    last = latest(book, Kind.REFUND)
    repeats = last is not None and last.credit is None
    attempt = last.attempt + 1 if last is not None and repeats else 1
    return _request(capture, left_of(capture, book), next_number(book, Kind.REFUND), attempt)


def _request(base: Transaction, amount: Decimal, number: int, attempt: int) -> Request:
    return Request.on(base, order_id=base.order_id, amount=amount, number=number, attempt=attempt)


def _reverse(
    to_do: Mapping[Kind, Sequence[Request]],
    books: Mapping[int, Sequence[Transaction]],
    *,
    now: datetime,
) -> dict[int, Answer]:
    if not any(to_do.values()):
        return {}
    with transaction.atomic():
        prepared = [
            one
            for kind, requests in to_do.items()
            if requests
            for one in ledger.prepare(kind, ledger.listed(requests))
        ]
        faults.point("return_money.before_intent_commit")
    outcomes = ledger.send(prepared, on_late=_record_late)
    faults.point("return_money.before_record")
    for kind in to_do:
        outcomes |= record_all(kind, prepared, outcomes).outcomes
    voids = _outcomes_of(Kind.VOID, prepared, outcomes)
    # Those that were not decided never will be.
    voided = [order_id for order_id, outcome in voids.items() if outcome.kind == "succeeded"]
    ledger.record(Kind.AUTHORIZE, dict.fromkeys(voided, Outcome(kind="declined", code="voided")))
    # With a capture that succeeded, it was the rest that is not released.
    refused = [o for o, outcome in voids.items() if outcome.kind == "declined"]
    captured = _captured_after_all([o for o in refused if not balance(books[o]).captured], now)
    order_ids = [request.order_id for requests in to_do.values() for request in requests]
    answers: dict[int, Answer] = dict.fromkeys(order_ids, NO_ANSWER_YET)
    for one in prepared:
        if outcome := outcomes.get(one.request.order_id):
            answers[one.request.order_id] = _answer(one, outcome, books[one.request.order_id])
    return answers | dict.fromkeys(captured, CAPTURED_AFTER_ALL)


def record_all(kind: Kind, prepared: Sequence[Prepared], outcomes: Mapping[int, Outcome]) -> Recorded:
    """Record the outcomes of a kind."""
    number_by_order = {one.request.order_id: one.number for one in prepared if one.kind is kind}
    return ledger.conclude(kind, _outcomes_of(kind, prepared, outcomes), number_by_order=number_by_order)


def _outcomes_of(
    kind: Kind, prepared: Sequence[Prepared], outcomes: Mapping[int, Outcome]
) -> dict[int, Outcome]:
    order_ids = [p.request.order_id for p in prepared if p.kind is kind]
    return {order_id: outcomes[order_id] for order_id in order_ids if order_id in outcomes}


def _answer(prepared: Prepared, outcome: Outcome, book: Sequence[Transaction]) -> Answer:
    if outcome.kind == "succeeded":
        sums = balance(book)
        if prepared.kind is Kind.REFUND:
            is_part = prepared.request.amount < sums.left + sums.pending or not _is_released(book)
            return MORE_TO_REFUND if is_part else Returned.REFUNDED
        if _abandoned(book) and not _is_released(book):
            return MORE_TO_REFUND  # now that none can arrive any more, they are looked up again
        return Returned.REFUNDED if sums.captured else Returned.VOIDED
    if outcome.kind != "declined":
        return outcome
    return outcome._replace(message=in_words(prepared, outcome))


def in_words(prepared: Prepared, outcome: Outcome) -> str:
    """Return why a call was declined, for operators."""
    call = f"{prepared.kind.label} of {format_amount(prepared.request.amount, prepared.request.currency)}"
    return f"{call} refused by the provider: {outcome.code} {outcome.message}".strip()


def _captured_after_all(order_ids: Sequence[int], now: datetime) -> set[int]:
    """Return those whose abandoned capture arrived, which need a refund instead of a void."""
    captures = ledger.not_refused(Kind.CAPTURE, order_ids)
    found = _find_all(captures, now=now)
    arrived = [(entry, outcome) for entry, outcome in found if outcome.kind == "succeeded"]
    _record_found(Kind.CAPTURE, arrived)
    never_arrived = {entry.order_id for entry, outcome in found if outcome.kind == "declined"}
    return {capture.order_id for capture in captures} - never_arrived


def _record_late(late: ledger.LateOutcomes) -> None:
    prepared = [one for one, _ in late]
    for kind in {one.kind for one in prepared}:
        record_all(kind, prepared, {one.request.order_id: outcome for one, outcome in late})


def _look_up(order_ids: Sequence[int], *, now: datetime) -> None:
    kinds = (Kind.AUTHORIZE, Kind.CAPTURE)
    unknown = [entry for kind in kinds for entry in ledger.unknown_of(kind, order_ids)]
    found = _find_all(unknown, now=now)
    for kind in kinds:
        _record_found(kind, [(entry, outcome) for entry, outcome in found if entry.kind == kind])


def _look_up_abandoned(books: dict[int, list[Transaction]], *, now: datetime) -> set[int]:
    """Look up captures that never arrived once the rest is voided: some of it may have been captured after all.

    Read the ledger of these again into `books`. Return the orders of which this is not certain yet.
    """
    abandoned = [entry for book in books.values() for entry in _abandoned(book) if _is_released(book)]
    if not abandoned:
        return set()
    found = _find_all(abandoned, now=now)
    arrived = [(entry, outcome) for entry, outcome in found if outcome.kind == "succeeded"]
    for entry, outcome in arrived:  # an order may have several
        _record_found(Kind.CAPTURE, [(entry, outcome)])
    if arrived:
        books |= ledger.entries_of({entry.order_id for entry, _ in arrived})
    certain = {(e.order_id, e.number) for e, outcome in found if outcome.kind in ("succeeded", "declined")}
    return {entry.order_id for entry in abandoned if (entry.order_id, entry.number) not in certain}


def _abandoned(book: Sequence[Transaction]) -> list[Transaction]:
    """Return the captures in parts that never arrived."""
    return [
        e for e in book if (e.kind, e.code) == (Kind.CAPTURE, ledger.NEVER_ARRIVED) and _is_in_parts(book)
    ]


def _is_in_parts(book: Sequence[Transaction]) -> bool:
    held = next((e for e in book if e.kind == Kind.AUTHORIZE), None)
    captures = [e for e in book if e.kind == Kind.CAPTURE]
    return held is not None and any(e.amount != held.amount for e in captures)


def _record_found(kind: Kind, found: Sequence[tuple[Transaction, Outcome]]) -> None:
    # Of several captures of an order one is unknown at most; one that arrived after all is found again.
    numbers = {entry.order_id: entry.number for entry, _ in found}
    ledger.record(kind, {entry.order_id: outcome for entry, outcome in found}, number_by_order=numbers)


def _find_all(entries: Sequence[Transaction], *, now: datetime) -> list[tuple[Transaction, Outcome]]:
    if early := [entry for entry in entries if entry.asked_at > now + ledger.arrival_grace()]:
        ledger.restart_grace(early)
    gathered = hold_all(
        [_find(entry, now) for entry in entries],
        gateways=[entry.gateway for entry in entries],
        patience=settings.STRAGGLER_PATIENCE_SECONDS,
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


def _ignore(late: Sequence[tuple[int, Outcome]]) -> None:
    """A look-up that is late is made again."""


def _find(entry: Transaction, now: datetime) -> Conversation[Outcome]:
    """Look up a transaction: declined once it can no longer arrive."""
    try:
        found = yield from ledger.looking_up(talk(entry.gateway), key=entry.key, sent=_sent(entry))
    except ProviderUnavailable as unavailable:
        return Outcome(kind="unknown", code=ledger.LOOKUP_FAILED, message=str(unavailable)[:200])
    if found is not None:
        return found
    grace = ledger.arrival_grace() + gateway(entry.gateway).capabilities.arrival_grace
    if now - entry.asked_at > grace:
        return Outcome(kind="declined", code=ledger.NEVER_ARRIVED, message="The provider never saw it.")
    return Outcome(kind="unknown", code="not_seen_yet", message="The provider has not seen it yet.")
