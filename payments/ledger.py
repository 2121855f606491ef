"""The ledger of calls to the payment provider.

`prepare` records what is to be sent (one row per order and number, for ever), `send` calls the provider outside
transactions, `record` stores outcomes. Unknown outcomes are looked up by key before a repeat. Rows are never
edited once they are decided: what happens later is a row of its own.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from django.db.models import Q

import faults
from database.arrays import numbers, rows, texts
from database.prepared import execute
from payments.gateways.protocol import Outcome, Talk
from payments.models import Transaction, idempotency_key, number_of, rank_of
from payments.talking import hold_all, talk
from providers.conversation import Conversation
from providers.errors import ProviderUnavailable

Kind = Transaction.Kind
State = Transaction.State


class Request(NamedTuple):
    """A call to be made for one order."""

    order_id: int
    reference: str
    amount: Decimal
    currency: str
    token: str = ""
    # The provider's id of the authorization or capture it builds on.
    parent: str = ""
    # Of its row; 0: the first of its kind.
    number: int = 0
    # The row that it builds on, the attempt, and the credit that it carries out: see `Transaction`.
    parent_number: int | None = None
    attempt: int = 1
    credit: int | None = None


class Asked(NamedTuple):
    """Requests as a query: the database has most values."""

    query: str
    parameters: Sequence[str | None]
    # Whether the query has the numbers; else each is the first of its kind.
    is_numbered: bool = False


class Prepared(NamedTuple):
    """A recorded transaction: new, sent with an unknown outcome, or decided."""

    request: Request
    kind: Kind
    state: State
    is_new: bool
    # Recorded at: by the database's clock, as text, and by this process's.
    asked_at: str
    since: float
    provider_id: str = ""
    code: str = ""

    @property
    def number(self) -> int:
        """The number of its row."""
        return self.request.number or FIRST[self.kind]

    @property
    def key(self) -> str:
        """The idempotency key of all its calls."""
        rank = rank_of(self.number)
        return idempotency_key(reference=self.request.reference, kind=self.kind, rank=rank)

    @property
    def outcome(self) -> Outcome | None:
        """The outcome, if known."""
        if self.state is State.UNKNOWN:
            return None
        return Outcome(
            kind="succeeded" if self.state is State.SUCCEEDED else "declined",
            provider_id=self.provider_id,
            code=self.code,
        )


# Numbers of the first of each kind, and of what it builds on.
FIRST = {kind: number_of(kind) for kind in Kind}
BASE = {
    Kind.CAPTURE: FIRST[Kind.AUTHORIZE],
    Kind.VOID: FIRST[Kind.AUTHORIZE],
    Kind.REFUND: FIRST[Kind.CAPTURE],
}

# No room within the timeout; never begun.
NO_CAPACITY = Outcome(kind="not_sent", code="crowded_out", message="Too many calls were ahead of it.")
# The process stalled: a look-up may have concluded that the call cannot arrive.
TOO_LATE = Outcome(kind="not_sent", code="too_late", message="It was written down too long ago to be sent.")
LOOKUP_FAILED = "lookup_failed"
# A look-up found that the call did not arrive, and no longer can.
NEVER_ARRIVED = "never_arrived"

# Seconds within which a recorded call starts, or never.
LONGEST_START = 5.0

# No join: the planner knows too little of either side.
PREPARE = """
    WITH asked AS ({asked}), written AS (
        INSERT INTO payments_transaction AS t
            (order_id, number, parent, attempt, credit, key, kind, reference, amount, currency, token, state,
             provider_id, code, message, started_at, asked_at)
        SELECT order_id, {row}, reference::text || ':' || {key}, %s::text, reference, amount, currency, token,
               'unknown', '', '', '', statement_timestamp(), statement_timestamp()
        FROM asked
        ON CONFLICT (order_id, number) DO UPDATE SET asked_at = statement_timestamp() WHERE t.state = 'unknown'
        RETURNING order_id, xmax = 0 AS is_new
    )
    SELECT order_id, reference::text, amount, currency, token, parent, {numbers} (SELECT statement_timestamp()::text),
           order_id IN (SELECT order_id FROM written), order_id IN (SELECT order_id FROM written WHERE is_new)
    FROM asked
"""
PREPARE_FIRST = PREPARE.replace("{row}", "%s::int, %s::int, 1, NULL::int").replace("{key}", "%s::text")
PREPARE_FIRST = PREPARE_FIRST.replace("{numbers}", "")
PREPARE_NUMBERED = (
    PREPARE.replace("{row}", "number, parent_number, attempt, credit")
    .replace("{key}", "%s::text || CASE WHEN number < 10 THEN '' ELSE ':' || number / 10 + 1 END")
    .replace("{numbers}", "number, parent_number, attempt, credit,")
)

DECIDED = """
    SELECT t.order_id, t.state, t.provider_id, t.code, t.asked_at::text
    FROM payments_transaction t JOIN unnest(%s::bigint[], %s::int[]) AS d(order_id, number)
        ON t.order_id = d.order_id AND t.number = d.number
"""

RECORD = """
    UPDATE payments_transaction t SET
        state = o.state, provider_id = o.provider_id, code = o.code, message = o.message,
        finished_at = CASE WHEN o.state = 'unknown' THEN NULL ELSE clock_timestamp() END
    FROM {outcomes} o
    WHERE t.order_id = o.order_id AND t.number = o.number
      AND (t.state = 'unknown' OR (t.code = 'never_arrived' AND o.state = 'succeeded'))
    RETURNING t.order_id
"""

HELD = """
    SELECT order_id, reference, amount, currency, '' AS token, provider_id AS parent FROM payments_transaction
    WHERE order_id = ANY(%s::bigint[]) AND kind = 'authorize' AND state = 'succeeded'
"""

# Only if no other worker has set out to send it since.
DELETE_UNSENT = """
    DELETE FROM payments_transaction t
    USING unnest(%s::bigint[], %s::int[], %s::timestamptz[]) AS o(order_id, number, asked_at)
    WHERE t.order_id = o.order_id AND t.number = o.number AND t.state = 'unknown' AND t.asked_at = o.asked_at
"""


def prepare(kind: Kind, asked: Asked) -> list[Prepared]:
    """Record calls before they are sent.

    Call it in the transaction that decides to send; commit before `send`. One call per order at a time.
    """
    found = execute(*_preparation(kind, asked))
    now = monotonic()
    prepared, decided = [], []
    for *facts, asked_at, is_open, is_new in found:
        if is_open:
            prepared.append(Prepared(Request(*facts), kind, State.UNKNOWN, is_new, asked_at, now))
        else:
            decided.append(Request(*facts))
    return prepared + (_decided(kind, decided) if decided else [])


def _preparation(kind: Kind, asked: Asked) -> tuple[str, list[str | int | None]]:
    if asked.is_numbered:
        return PREPARE_NUMBERED.format(asked=asked.query), [*asked.parameters, kind.value, kind.value]
    row = [FIRST[kind], BASE.get(kind), kind.value, kind.value]
    return PREPARE_FIRST.format(asked=asked.query), [*asked.parameters, *row]


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


RESTART_GRACE = """
    UPDATE payments_transaction t SET asked_at = statement_timestamp()
    FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[]) AS o(order_id, number, asked_at)
    WHERE t.order_id = o.order_id AND t.number = o.number AND t.asked_at = o.asked_at AND t.state = 'unknown'
"""


def restart_grace(entries: Sequence[Transaction]) -> None:
    """Restart the grace of calls stamped by a clock that was ahead."""
    columns = [
        numbers(entry.order_id for entry in entries),
        numbers(entry.number for entry in entries),
        texts(entry.asked_at.isoformat() for entry in entries),
    ]
    execute(RESTART_GRACE, columns)


def send(
    prepared: Sequence[Prepared], *, patience: float, on_late: Callable[[Prepared, Outcome], None]
) -> dict[int, Outcome]:
    """Send calls concurrently. Return the outcomes within `patience` seconds, by order.

    Decided ones come from the ledger; late ones go to `on_late`. No transaction may be open.
    """
    outcomes = {p.request.order_id: p.outcome for p in prepared if p.outcome}
    open_ones = [p for p in prepared if p.outcome is None]
    gathered = hold_all(
        [asking(one) for one in open_ones],
        patience=patience,
        on_late=lambda index, answer: on_late(open_ones[index], answer),
    )
    for index, one in enumerate(open_ones):
        if index not in gathered.late:
            outcomes[one.request.order_id] = gathered.results.get(index, NO_CAPACITY)
    return outcomes


def asking(prepared: Prepared) -> Conversation[Outcome]:
    """Send the call; a repeat is looked up by its key first."""
    provider = talk()
    if not prepared.is_new:
        try:
            found = yield from looking_up(provider, key=prepared.key)
        except ProviderUnavailable as unavailable:
            return Outcome(kind="unknown", code=LOOKUP_FAILED, message=str(unavailable)[:200])
        if found is not None:
            return found
    return (yield from _sending(provider, prepared))


def looking_up(provider: Talk, *, key: str) -> Conversation[Outcome | None]:
    """Return the outcome under the key; None if never received. Raises ProviderUnavailable."""
    faults.point("lookup.before_call")
    found = yield from provider.find(key=key)
    faults.point("lookup.after_call")
    return found


def _sending(provider: Talk, prepared: Prepared) -> Conversation[Outcome]:
    faults.point(f"{prepared.kind.value}.before_call")
    if monotonic() - prepared.since > LONGEST_START:
        return TOO_LATE
    outcome = yield from _call(provider, prepared)
    faults.point(f"{prepared.kind.value}.after_call")
    return outcome


def _call(provider: Talk, prepared: Prepared) -> Conversation[Outcome]:
    request, key = prepared.request, prepared.key
    common = {"key": key, "reference": request.reference}
    match prepared.kind:
        case Kind.AUTHORIZE:
            return provider.authorize(
                **common, amount=request.amount, currency=request.currency, token=request.token
            )
        case Kind.CAPTURE:
            return provider.capture(
                **common, authorization=request.parent, amount=request.amount, currency=request.currency
            )
        case Kind.VOID:
            return provider.void(**common, authorization=request.parent)
        case Kind.REFUND:
            return provider.refund(
                **common, capture=request.parent, amount=request.amount, currency=request.currency
            )
    raise AssertionError(prepared.kind)


NONE: Mapping[int, int] = {}


def record(
    kind: Kind, outcomes: Mapping[int, Outcome], *, number_by_order: Mapping[int, int] = NONE
) -> set[int]:
    """Record outcomes that were unknown; known ones stay. Return the orders for which one was new.

    `number_by_order` has each order's transaction; without one it is the first of its kind.
    """
    sent = {order_id: outcome for order_id, outcome in outcomes.items() if outcome.kind != "not_sent"}
    if not sent:
        return set()
    outcome_rows, values = rows(
        {
            "order_id": ("bigint", list(sent)),
            "number": ("int", [number_by_order.get(order_id, FIRST[kind]) for order_id in sent]),
            "state": ("text", [o.kind for o in sent.values()]),
            "provider_id": ("text", [o.provider_id for o in sent.values()]),
            "code": ("text", [o.code[:40] for o in sent.values()]),
            "message": ("text", [o.message[:200] for o in sent.values()]),
        }
    )
    recorded = execute(RECORD.format(outcomes=outcome_rows), values)
    return {order_id for (order_id,) in recorded}


REVERSE = """
    INSERT INTO payments_transaction
        (order_id, number, parent, attempt, credit, key, kind, reference, amount, currency, token, state, provider_id,
         code, message, started_at, asked_at, finished_at)
    SELECT order_id, %s::int, number, attempt, credit, %s::text, 'reversal', reference, amount, currency, '',
           'succeeded', '', %s::text, %s::text, statement_timestamp(), statement_timestamp(), statement_timestamp()
    FROM payments_transaction WHERE order_id = %s::bigint AND number = %s::int AND state = 'succeeded'
    ON CONFLICT (order_id, number) DO NOTHING
    RETURNING amount, attempt, credit
"""


class Reversed(NamedTuple):
    """A transaction that succeeded and failed later."""

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


def delete_unsent(prepared: Sequence[Prepared]) -> None:
    """Delete unsent transactions, to save a look-up.

    One that another worker has set out to send since stays: it may have been sent.
    """
    if prepared:
        execute(
            DELETE_UNSENT,
            [
                [p.request.order_id for p in prepared],
                [p.number for p in prepared],
                [p.asked_at for p in prepared],
            ],
        )


def entries_of(order_ids: Iterable[int]) -> dict[int, list[Transaction]]:
    """Return each order's transactions, by number."""
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
    """Return individually built requests, with their numbers, as a query."""
    subquery, values = rows(
        {
            "order_id": ("bigint", [r.order_id for r in requests]),
            "reference": ("uuid", [r.reference for r in requests]),
            "amount": ("numeric", [r.amount for r in requests]),
            "currency": ("text", [r.currency for r in requests]),
            "token": ("text", [r.token for r in requests]),
            "parent": ("text", [r.parent for r in requests]),
            "number": ("int", [r.number for r in requests]),
            "parent_number": ("int", [r.parent_number for r in requests]),
            "attempt": ("smallint", [r.attempt for r in requests]),
            "credit": ("int", [r.credit for r in requests]),
        }
    )
    query = f"SELECT * FROM {subquery} listed"  # noqa: S608 - names of ours
    return Asked(query, values, is_numbered=True)
