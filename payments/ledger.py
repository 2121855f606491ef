"""The ledger of calls to the payment provider: `prepare`, `send` outside transactions, `record`.

Rows are never edited once decided, but for money that arrives after all: what else happens later is a row of its own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q

import faults
from database.arrays import numbers, rows, texts
from database.prepared import execute
from payments.calls import BASE, FIRST, Asked, Prepared, Request
from payments.gateways.protocol import UNDECIDED, Outcome, Sent, Talk
from payments.models import Transaction, idempotency_key, number_of
from payments.statements import (
    BEGIN,
    DECIDED,
    DELETE_UNSENT,
    HELD,
    PREPARE_FIRST,
    PREPARE_NUMBERED,
    RECORD,
    REPEATED,
    RESTART_GRACE,
    REVERSE,
)
from payments.talking import hold_all, talk
from providers.conversation import Conversation
from providers.errors import ProviderUnavailable

Kind = Transaction.Kind
State = Transaction.State
LateOutcomes = Sequence[tuple[Prepared, Outcome]]


# No room within the timeout; never begun.
NO_CAPACITY = Outcome(kind="not_sent", code="crowded_out", message="Too many calls were ahead of it.")
# The process stalled: a look-up may have concluded that the call cannot arrive.
TOO_LATE = Outcome(kind="not_sent", code="too_late", message="It was written down too long ago to be sent.")
# It was not decided yet when it was looked up; a webhook has recorded the decision since.
DECIDED_MEANWHILE = Outcome(kind="unknown", code="decided_meanwhile")
LOOKUP_FAILED = "lookup_failed"
NEVER_ARRIVED = "never_arrived"

STATE_OF = dict.fromkeys(("begun", *UNDECIDED), State.UNKNOWN.value)
CODE_OF = {kind: kind for kind in STATE_OF}

# Seconds within which a recorded call starts, or never.
LONGEST_START = 5.0


def prepare(kind: Kind, asked: Asked) -> list[Prepared]:
    """Record calls before they are sent. Commit before `send`. One call per order at a time."""
    statement = PREPARE_NUMBERED if asked.is_numbered else PREPARE_FIRST
    places = [] if asked.is_numbered else [FIRST[kind], BASE.get(kind)]
    row = [kind.value, kind.value, settings.PAYMENT_GATEWAY]
    found = execute(statement.format(asked=asked.query), [*asked.parameters, *places, *row])
    now = monotonic()
    prepared, decided = [], []
    for *facts, asked_at, is_open, is_new in found:
        if is_open:
            prepared.append(Prepared(Request(*facts), kind, State.UNKNOWN, is_new, asked_at, now))
        else:
            decided.append(Request(*facts))
    if any(not one.is_new for one in prepared):
        prepared = _as_recorded(prepared)
    return prepared + (_decided(kind, decided) if decided else [])


def _as_recorded(prepared: Sequence[Prepared]) -> list[Prepared]:
    repeated = [one for one in prepared if not one.is_new]
    places = [numbers(one.request.order_id for one in repeated), numbers(one.number for one in repeated)]
    recorded = {row[0]: row[1:] for row in execute(REPEATED, places)}
    return [_with(one, *recorded.get(one.request.order_id, ("", ""))) for one in prepared]


def _with(one: Prepared, gateway: str, provider_id: str) -> Prepared:
    if one.is_new:
        return one
    return one._replace(request=one.request._replace(gateway=gateway), provider_id=provider_id)


def _decided(kind: Kind, requests: Sequence[Request]) -> list[Prepared]:
    by_order = {request.order_id: request for request in requests}
    places = [numbers(by_order), numbers(r.number or FIRST[kind] for r in by_order.values())]
    return [
        Prepared(
            by_order[order_id],
            kind,
            State(state),
            is_new=False,
            asked_at=asked_at,
            since=monotonic(),
            provider_id=provider_id,
            code=code,
        )
        for order_id, state, provider_id, code, asked_at in execute(DECIDED, places)
    ]


def arrival_grace() -> timedelta:
    """Return how long after its recorded start a call may still reach the provider."""
    tries = settings.EXTERNAL_TIMEOUT_SECONDS * settings.EXTERNAL_RETRY_ATTEMPTS
    return timedelta(seconds=tries + LONGEST_START)


def restart_grace(entries: Sequence[Transaction]) -> None:
    """Restart the grace of calls stamped by a clock that was ahead."""
    columns = [
        numbers(entry.order_id for entry in entries),
        numbers(entry.number for entry in entries),
        texts(entry.asked_at.isoformat() for entry in entries),
    ]
    execute(RESTART_GRACE, columns)


def send(prepared: Sequence[Prepared], *, on_late: Callable[[LateOutcomes], None]) -> dict[int, Outcome]:
    """Send calls outside transactions; return outcomes within settings.STRAGGLER_PATIENCE_SECONDS.

    Late ones go to `on_late` in groups, an order at most once in each; again if the database fails.
    """
    until = monotonic() + settings.STRAGGLER_PATIENCE_SECONDS
    open_ones = [one for one in prepared if one.state is State.UNKNOWN]
    answers = _gather(open_ones, until, on_late)
    outcomes = {one.request.order_id: outcome for one, outcome in answers}
    if begun := [(one, outcome) for one, outcome in answers if outcome.kind == "begun"]:
        continued = _gather(begin(begun), until, on_late)
        outcomes |= {one.request.order_id: outcome for one, outcome in continued}
    if len(open_ones) < len(prepared):
        outcomes |= {one.request.order_id: one.outcome for one in prepared if one.outcome}
    return outcomes


def _gather(
    open_ones: Sequence[Prepared], until: float, on_late: Callable[[LateOutcomes], None]
) -> LateOutcomes:
    default = settings.PAYMENT_GATEWAY  # hot path: once
    names = [one.request.gateway or default for one in open_ones]
    providers = {name: talk(name) for name in set(names)}
    gathered = hold_all(
        [asking(one, providers[name]) for one, name in zip(open_ones, names, strict=True)],
        gateways=names,
        patience=max(0.0, until - monotonic()),
        on_late=lambda late: on_late([(open_ones[index], outcome) for index, outcome in late]),
    )
    results = gathered.results
    return [
        (one, results.get(place, NO_CAPACITY))
        for place, one in enumerate(open_ones)
        if place not in gathered.late
    ]


def begin(begun: Sequence[tuple[Prepared, Outcome]]) -> list[Prepared]:
    """Record the provider's ids of begun calls; return those to be sent again."""
    if not begun:
        return []
    columns = [
        numbers(one.request.order_id for one, _ in begun),
        numbers(one.number for one, _ in begun),
        texts(outcome.provider_id for _, outcome in begun),
        texts(one.asked_at for one, _ in begun),
    ]
    now = monotonic()
    asked_at: dict[int, str] = dict(execute(BEGIN, columns))
    return [
        one._replace(
            is_new=True,
            provider_id=outcome.provider_id,
            asked_at=asked_at[one.request.order_id],
            since=now,
        )
        for one, outcome in begun
        if one.request.order_id in asked_at
    ]


def asking(prepared: Prepared, provider: Talk | None = None) -> Conversation[Outcome]:
    """Send the call; a repeat is looked up by its key first."""
    provider = provider or talk(prepared.gateway)
    if not prepared.is_new:
        try:
            found = yield from looking_up(provider, key=prepared.key, sent=prepared.sent)
        except ProviderUnavailable as unavailable:
            return Outcome(kind="unknown", code=LOOKUP_FAILED, message=str(unavailable)[:200])
        if found is not None:
            return found
    faults.point(f"{prepared.kind}.before_call")
    if monotonic() - prepared.since > LONGEST_START:
        return TOO_LATE
    outcome = yield from _call(provider, prepared)
    faults.point(f"{prepared.kind}.after_call")
    return outcome


def looking_up(provider: Talk, *, key: str, sent: Sent) -> Conversation[Outcome | None]:
    """Return the outcome of a call; None if never executed. Raises ProviderUnavailable."""
    faults.point("lookup.before_call")
    found = yield from provider.find(key=key, sent=sent)
    faults.point("lookup.after_call")
    return found


def _call(provider: Talk, prepared: Prepared) -> Conversation[Outcome]:
    key, (_, reference, amount, currency, token, parent, *_) = prepared.key, prepared.request
    match prepared.kind:
        case Kind.AUTHORIZE:
            begun = {"begun": prepared.provider_id} if prepared.provider_id else {}
            return provider.authorize(
                key=key, reference=reference, amount=amount, currency=currency, token=token, **begun
            )
        case Kind.CAPTURE:
            return provider.capture(
                key=key, reference=reference, authorization=parent, amount=amount, currency=currency
            )
        case Kind.VOID:
            return provider.void(key=key, reference=reference, authorization=parent)
        case Kind.REFUND:
            return provider.refund(
                key=key, reference=reference, capture=parent, amount=amount, currency=currency
            )
    raise AssertionError(prepared.kind)


NONE: Mapping[int, int] = {}


def record(
    kind: Kind, outcomes: Mapping[int, Outcome], *, number_by_order: Mapping[int, int] = NONE
) -> set[int]:
    """Record outcomes that were unknown, and late payments; others stay. Return the orders with a new one."""
    sent = {order_id: outcome for order_id, outcome in outcomes.items() if outcome.kind != "not_sent"}
    if not sent:
        return set()
    outcome_rows, values = rows(
        {
            "order_id": ("bigint", list(sent)),
            "number": ("int", [number_by_order.get(order_id, FIRST[kind]) for order_id in sent]),
            "state": ("text", [STATE_OF.get(o.kind, o.kind) for o in sent.values()]),
            "provider_id": ("text", [o.provider_id for o in sent.values()]),
            "code": ("text", [(o.code or CODE_OF.get(o.kind, ""))[:40] for o in sent.values()]),
            "message": ("text", [o.message[:200] for o in sent.values()]),
        }
    )
    recorded = {order_id for (order_id,) in execute(RECORD.format(outcomes=outcome_rows), values)}
    for order_id in recorded:
        if action := sent[order_id].action:
            number = number_by_order.get(order_id, FIRST[kind])
            Transaction.objects.filter(order_id=order_id, number=number).update(action=action.as_json())
    return recorded


class Recorded(NamedTuple):
    """Outcomes that count, and the orders for which one is new."""

    outcomes: Mapping[int, Outcome]
    new: set[int]


def conclude(
    kind: Kind, outcomes: Mapping[int, Outcome], *, number_by_order: Mapping[int, int] = NONE
) -> Recorded:
    """Record outcomes. DECIDED_MEANWHILE replaces an undecided one that could not be recorded."""
    new = record(kind, outcomes, number_by_order=number_by_order)
    if not UNDECIDED.isdisjoint(map(attrgetter("kind"), outcomes.values())):
        outcomes = {
            order_id: DECIDED_MEANWHILE if outcome.kind in UNDECIDED and order_id not in new else outcome
            for order_id, outcome in outcomes.items()
        }
    return Recorded(outcomes, new)


def pay_by(order_id: int) -> datetime | None:
    """Return the time until which the customer may complete the authorization, if there is one."""
    found = Transaction.objects.filter(order_id=order_id, number=FIRST[Kind.AUTHORIZE]).first()
    return time_to_pay(found) if found else None


def time_to_pay(entry: Transaction) -> datetime | None:
    """Return the time until which the customer may complete a payment, if there is one."""
    until = (entry.action or {}).get("payBy")
    return datetime.fromisoformat(until) if until else None


def next_action(entries: Iterable[Transaction]) -> dict[str, str] | None:
    """Return what the customer has to do now, by the names of `Action.as_json`; None if nothing."""
    waiting = (e.action for e in entries if e.kind == Kind.AUTHORIZE and e.state == State.UNKNOWN)
    return next(filter(None, waiting), None)


class Reversed(NamedTuple):
    amount: Decimal
    attempt: int
    credit: int | None


def reverse(entry: Transaction, outcome: Outcome) -> Reversed | None:
    """Record that a transaction which succeeded failed later; None if it did not succeed, or is reversed already."""
    number = number_of(Kind.REVERSAL, entry.number)
    key = idempotency_key(reference=str(entry.reference), kind=Kind.REVERSAL, rank=entry.number)
    place = [entry.order_id, entry.number]
    for row in execute(REVERSE, [number, key, outcome.code[:40], outcome.message[:200], *place]):
        return Reversed(*row)
    return None


def delete_unsent(prepared: Iterable[Prepared], outcomes: Mapping[int, Outcome]) -> None:
    """Delete the new transactions that were not sent, unless another worker has set out to send them."""
    not_sent = {order_id for order_id, outcome in outcomes.items() if outcome.kind == "not_sent"}
    if not_sent:
        _delete([one for one in prepared if one.is_new and one.request.order_id in not_sent])


def _delete(prepared: Sequence[Prepared]) -> None:
    if prepared:
        columns = [
            [one.request.order_id for one in prepared],
            [one.number for one in prepared],
            [one.asked_at for one in prepared],
        ]
        execute(DELETE_UNSENT, columns)


def entries_of(order_ids: Iterable[int]) -> dict[int, list[Transaction]]:
    found: dict[int, list[Transaction]] = {}
    # Rarely used: loaded on access.
    rows = Transaction.objects.filter(order_id__in=list(order_ids)).defer(
        "started_at", "asked_at", "finished_at"
    )
    for transaction in rows.order_by("order_id", "number"):
        found.setdefault(transaction.order_id, []).append(transaction)
    return found


def unknown_of(kind: Kind, order_ids: Iterable[int]) -> list[Transaction]:
    return list(Transaction.objects.filter(order_id__in=list(order_ids), kind=kind, state=State.UNKNOWN))


def not_refused(kind: Kind, order_ids: Iterable[int]) -> list[Transaction]:
    """Return transactions of a kind except refused ones; an abandoned one is not refused."""
    refused = Q(state=State.DECLINED) & ~Q(code=NEVER_ARRIVED)
    return list(Transaction.objects.filter(order_id__in=list(order_ids), kind=kind).exclude(refused))


def held(order_ids: Sequence[int]) -> Asked:
    """Return captures of all that the provider holds for the orders."""
    return Asked(HELD, [numbers(order_ids)])


def listed(requests: Sequence[Request]) -> Asked:
    subquery, values = rows(
        {
            "order_id": ("bigint", [r.order_id for r in requests]),
            "reference": ("uuid", [r.reference for r in requests]),
            "amount": ("numeric", [r.amount for r in requests]),
            "currency": ("text", [r.currency for r in requests]),
            "token": ("text", [r.token for r in requests]),
            "parent": ("text", [r.parent for r in requests]),
            "gateway": ("text", [r.gateway for r in requests]),
            "number": ("int", [r.number for r in requests]),
            "parent_number": ("int", [r.parent_number for r in requests]),
            "attempt": ("smallint", [r.attempt for r in requests]),
            "credit": ("int", [r.credit for r in requests]),
        }
    )
    query = f"SELECT * FROM {subquery} listed"  # noqa: S608 - names of ours
    return Asked(query, values, is_numbered=True)
