"""The simulated payment ledger: stands in for the statements of `payments.ledger`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from orders.legs import PAYMENT
from orders.payment.captures import CAPTURABLE
from payments import expiry, ledger
from payments.calls import BASE, FIRST, Kind, Prepared, Request, State
from payments.gateways.protocol import Outcome
from payments.ledger import Reversed
from payments.models import idempotency_key, number_of, rank_of
from tests.simulation.database import Transaction

if TYPE_CHECKING:
    from tests.simulation.world import World

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SHIPPING = Decimal("5.00")

Place = tuple[int, int]  # order and number


def moment(world: "World") -> datetime:
    """Return the world's time."""
    return EPOCH + timedelta(seconds=world.clock.now)


class Entry(NamedTuple):
    """A row of the payment ledger, as `payments.models.Transaction` has it."""

    order_id: int
    number: int
    kind: Kind
    parent: int | None
    attempt: int
    credit: int | None
    reference: str
    amount: Decimal
    currency: str
    token: str
    state: State
    provider_id: str
    code: str
    message: str
    asked_at: datetime
    gateway: str = ""
    provider_parent: str = ""
    finished_at: datetime | None = None

    @property
    def key(self) -> str:
        return idempotency_key(reference=self.reference, kind=self.kind, rank=rank_of(self.number))


def _comes_after_all(entry: Entry, outcome: Outcome) -> bool:
    if outcome.kind != "succeeded" or entry.state is not State.DECLINED:
        return False
    is_payment = entry.kind in (Kind.AUTHORIZE, Kind.CAPTURE)
    return entry.code == ledger.NEVER_ARRIVED or (is_payment and entry.code != "voided")


class Books:
    """The payment ledger's table."""

    def __init__(self, world: "World") -> None:
        self._world, self._database, self._statements = world, world.database, 0

    def charges(self, order_ids: Sequence[int]) -> list[Request]:
        return [self._charge(order_id) for order_id in order_ids]

    def _charge(self, order_id: int) -> Request:
        facts = self._database.facts[order_id]
        total = facts.amount + facts.adjusted + SHIPPING
        return Request(order_id, facts.reference, total, "USD", facts.token)

    def prepare(self, kind: Kind, requests: Sequence[Request]) -> list[Prepared]:
        return [self._prepare(kind, request) for request in requests]

    def _prepare(self, kind: Kind, request: Request) -> Prepared:
        number = request.number or FIRST[kind]
        place = (request.order_id, number)
        self._database.lock(place)
        entry = self._rows().get(place)
        if entry is not None:
            return self._ask_again(place, entry, request)
        now = self._next_moment()
        entry = Entry(
            request.order_id, number, kind, request.parent_number or BASE.get(kind), request.attempt, request.credit,
            request.reference, request.amount, request.currency, request.token, State.UNKNOWN, "", "", "", now,
        )  # fmt: skip
        self._write(place, entry)
        return Prepared(request, kind, State.UNKNOWN, True, now.isoformat(), self._world.clock.now)

    def _ask_again(self, place: Place, entry: Entry, request: Request) -> Prepared:
        if entry.state is State.UNKNOWN:
            entry = entry._replace(asked_at=self._next_moment())
            self._write(place, entry)
        asked_at = entry.asked_at.isoformat()
        return Prepared(
            request,
            entry.kind,
            entry.state,
            False,
            asked_at,
            self._world.clock.now,
            entry.provider_id,
            entry.code,
        )

    def _write(self, place: Place, entry: Entry) -> None:
        if own := self._own():
            own.payments[place] = entry
        self._database.write(partial(self._put, place, entry))

    def _put(self, place: Place, entry: Entry) -> None:
        self._database.payments[place] = entry

    def _own(self) -> Transaction | None:
        """Return the open transaction of the process that runs now."""
        current = self._world.clock.current
        return current.transaction if current is not None else None

    def _rows(self) -> Mapping[Place, Entry]:
        """Return what is committed, with what the process itself has written since."""
        own = self._own()
        return (
            {**self._database.payments, **own.payments} if own and own.payments else self._database.payments
        )

    def _next_moment(self) -> datetime:
        """Return the time by the database's clock, on which no two statements fall together."""
        self._statements += 1
        return moment(self._world) + timedelta(microseconds=self._statements % 1000)

    def record(
        self, kind: Kind, outcomes: Mapping[int, Outcome], *, number_by_order: Mapping[int, int] = ledger.NONE
    ) -> set[int]:
        news = set()
        for order_id, outcome in outcomes.items():
            place = (order_id, number_by_order.get(order_id, FIRST[kind]))
            if outcome.kind != "not_sent" and self._is_news(place, outcome):
                news.add(order_id)
        return news

    def _is_news(self, place: Place, outcome: Outcome) -> bool:
        self._database.lock(place)
        entry = self._rows().get(place)
        if entry is None:
            return False
        if entry.state is not State.UNKNOWN and not _comes_after_all(entry, outcome):
            return False
        state = State(ledger.STATE_OF.get(outcome.kind, outcome.kind))
        code = outcome.code or ledger.CODE_OF.get(outcome.kind, "")
        known = entry._replace(
            state=state,
            provider_id=outcome.provider_id or entry.provider_id,
            code=code,
            finished_at=None if state is State.UNKNOWN else moment(self._world),
        )
        self._write(place, known)
        return True

    def reverse(self, entry: Entry, outcome: Outcome) -> Reversed | None:
        number = number_of(Kind.REVERSAL, entry.number)
        place, known = (entry.order_id, number), self._rows()[entry.order_id, entry.number]
        self._database.lock(place)
        if known.state is not State.SUCCEEDED or place in self._rows():
            return None
        reversal = known._replace(number=number, kind=Kind.REVERSAL, parent=entry.number, code=outcome.code)
        self._write(place, reversal)
        return Reversed(known.amount, known.attempt, known.credit)

    def record_expiry(self, amount: Decimal, book: Sequence[Entry]) -> None:
        held = next(entry for entry in book if entry.kind is Kind.AUTHORIZE)
        number = number_of(Kind.VOID, 1 + sum(entry.kind is Kind.VOID for entry in book))
        void = held._replace(
            number=number, kind=Kind.VOID, parent=held.number, amount=amount, provider_id="", code=expiry.CODE
        )
        self._write((held.order_id, number), void)

    def held_for(self, *, seconds: float, without_attention: bool, limit: int) -> list[int]:
        before = moment(self._world) - timedelta(seconds=seconds)
        found = [
            order_id
            for order_id, row in self._database.journeys.items()
            if row.state["payment"] is PAYMENT.HELD
            and row.status in CAPTURABLE
            and not (without_attention and row.attention)
            and self._authorized_at(order_id) <= before
        ]
        return found[:limit]

    def _authorized_at(self, order_id: int) -> datetime:
        found = self._rows()[order_id, FIRST[Kind.AUTHORIZE]].finished_at
        assert isinstance(found, datetime)
        return found

    def delete(self, prepared: Iterable[Prepared]) -> None:
        for one in prepared:
            self._database.write(partial(self._forget, (one.request.order_id, one.number), one.asked_at))

    def _forget(self, place: Place, asked_at: str) -> None:
        entry = self._database.payments.get(place)
        if entry is not None and entry.state is State.UNKNOWN and entry.asked_at.isoformat() == asked_at:
            del self._database.payments[place]

    def entries_of(self, order_ids: Iterable[int]) -> dict[int, list[Entry]]:
        found: dict[int, list[Entry]] = {}
        wanted = set(order_ids)
        entries = (e for (order_id, _), e in self._rows().items() if order_id in wanted)
        for entry in sorted(entries, key=lambda entry: entry.number):
            found.setdefault(entry.order_id, []).append(entry)
        return found

    def held(self, order_ids: Iterable[int]) -> list[Request]:
        found = self._entries(Kind.AUTHORIZE, order_ids)
        return [
            Request(e.order_id, e.reference, e.amount, e.currency, parent=e.provider_id)
            for e in found
            if e.state is State.SUCCEEDED
        ]

    def unknown_of(self, kind: Kind, order_ids: Iterable[int]) -> list[Entry]:
        return [entry for entry in self._entries(kind, order_ids) if entry.state is State.UNKNOWN]

    def not_refused(self, kind: Kind, order_ids: Iterable[int]) -> list[Entry]:
        return [
            entry
            for entry in self._entries(kind, order_ids)
            if entry.state is not State.DECLINED or entry.code == ledger.NEVER_ARRIVED
        ]

    def _entries(self, kind: Kind, order_ids: Iterable[int]) -> list[Entry]:
        wanted = set(order_ids)
        entries = [e for (order_id, _), e in self._rows().items() if order_id in wanted]
        return sorted((e for e in entries if e.kind is kind), key=lambda e: (e.order_id, e.number))
