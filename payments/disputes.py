"""Disputes in the ledger: a row each, unknown while it is open, succeeded if lost, declined if won."""

from payments.calls import FIRST, Kind, State
from payments.gateways.protocol import Event
from payments.models import Transaction, create_on, number_of
from scheduling.slots import database_now

STATES = {"succeeded": State.SUCCEEDED, "declined": State.DECLINED}


def record(event: Event, *, order_id: int) -> Transaction | None:
    """Record a dispute of an order's capture; None if that changes nothing. Call it under the order's lock.

    Decided ones stay, in whatever order the news arrive.
    """
    book = {entry.number: entry for entry in Transaction.objects.filter(order_id=order_id)}
    capture = book.get(FIRST[Kind.CAPTURE])
    if capture is None or not event.outcome.provider_id:
        return None
    known = [entry for entry in book.values() if entry.kind == Kind.DISPUTE]
    state = STATES.get(event.outcome.kind, State.UNKNOWN)
    for entry in known:
        if entry.provider_id == event.outcome.provider_id:
            return _decide(entry, state)
    now = database_now()
    return create_on(
        capture,
        kind=Kind.DISPUTE,
        number=number_of(Kind.DISPUTE, len(known) + 1),
        amount=capture.amount if event.amount is None else event.amount,
        state=state,
        provider_id=event.outcome.provider_id,
        code=event.outcome.code[:40],
        started_at=now,
        finished_at=None if state is State.UNKNOWN else now,
    )


def _decide(entry: Transaction, state: State) -> Transaction | None:
    if entry.state != State.UNKNOWN or state is State.UNKNOWN:
        return None
    entry.state, entry.finished_at = state, database_now()
    Transaction.objects.filter(order_id=entry.order_id, number=entry.number).update(
        state=entry.state, finished_at=entry.finished_at
    )
    return entry
