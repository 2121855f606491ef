"""Where the made-up world is put in the place of the real one: every function that touches anything outside.

The production code calls these through their modules (`journal.lock_batch(…)`), so the modules are the ports:
nothing in it knows that it can be simulated.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import OperationalError

import faults
from faults.script import Planned
from inventory import stock
from orders import answers, batches, commands, declines, handover, journal, queries, shortages, steps, wakeup
from orders.batches import Claimed
from orders.leg_types import Leg, Mark, Outcomes, Reached
from orders.legs import BY_NAME
from payments import ledger, returns, talking
from payments.gateways.protocol import Outcome
from payments.ledger import Kind, Prepared, Request, State
from payments.models import idempotency_key
from payments.talking import Direct
from providers.concurrency import Gathered
from providers.conversation import Conversation
from shipping import quotes
from tests.simulation.desk import held

if TYPE_CHECKING:
    from tests.simulation.world import World

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SHIPPING = Decimal("5.00")


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the payment ledger, as `payments.models.Transaction` has it."""

    order_id: int
    kind: Kind
    reference: str
    amount: Decimal
    currency: str
    token: str
    state: State
    provider_id: str
    code: str
    message: str
    asked_at: datetime

    @property
    def key(self) -> str:
        return idempotency_key(reference=self.reference, kind=self.kind)


@contextmanager
def simulated(world: "World") -> Iterator[None]:
    """Have the production code live in this world for a while."""
    saved = []
    try:
        for module, name, stand_in in _ports(world):
            saved.append((module, name, getattr(module, name)))
            setattr(module, name, stand_in)
        yield
    finally:
        for module, name, original in reversed(saved):
            setattr(module, name, original)


def _ports(world: "World") -> list[tuple[Any, str, Any]]:
    database, books = world.database, Books(world)
    transactions = SimpleNamespace(atomic=database.atomic)
    return [
        *(
            (module, "transaction", transactions)
            for module in (steps, answers, handover, batches, commands, returns)
        ),
        (steps, "database_now", lambda: _moment(world)),
        (steps, "WORK", steps.WORK | {name: partial(_work, world, BY_NAME[name]) for name in steps.WORK}),
        (faults, "point", world.point),
        (journal, "lock", database.lock_journeys),
        (journal, "lock_batch", database.lock_batch),
        (journal, "lock_due", database.lock_due),
        (journal, "are_due", database.are_due),
        (journal, "save", database.save),
        (batches, "_new_batch", database.new_batch),
        (batches, "under_way", lambda: database.under_way(settings.LEASE_SECONDS)),
        (batches, "finish", database.finish_batch),
        (batches, "acquire_batch", database.acquire_batch),
        (batches, "finish_run", database.finish_run),
        (batches, "reclaim_expired", database.take_over),
        (wakeup, "wake_dispatcher", lambda: database.write(world.ring)),
        (wakeup, "announce_events", lambda: None),
        (stock, "_lock", database.lock_stock),
        (stock, "_holders", database.holders),
        (stock, "_hold", database.hold),
        (stock, "_close", lambda statement, ids: database.close(ids, sold=statement is stock.SELL)),
        (stock, "take_back", lambda *, lines: database.take_back(lines)),
        (quotes, "quote", lambda *, parcels: _quoted(world, parcels)),
        (queries, "parcels", lambda order_ids: order_ids),
        (queries, "wanted_units", database.wanted_units),
        (shortages, "wanted", database.wanted),
        (shortages, "units", database.units),
        (shortages, "_out_of_patience", database.out_of_patience),
        (shortages, "_queue", database.queue),
        (shortages, "_make_due", lambda order_ids: _woken(world, order_ids)),
        (declines, "note", lambda outcomes: None),
        (queries, "charges", books.charges),
        (ledger, "prepare", books.prepare),
        (ledger, "record", books.record),
        (ledger, "delete_unsent", books.delete_unsent),
        (ledger, "reopen", books.reopen),
        (ledger, "monotonic", lambda: world.clock.now),
        (ledger, "transactions_of", books.transactions_of),
        (ledger, "held", books.held),
        (ledger, "listed", lambda requests: requests),
        (ledger, "unknown_of", books.unknown_of),
        (ledger, "not_refused", books.not_refused),
        *((module, "talk", lambda: Direct(world.provider)) for module in (ledger, returns)),
        *((module, "hold_all", _hold_all(world)) for module in (ledger, returns)),
        (talking, "is_handed_over", lambda: world.hands_over),
        (handover, "room", world.desk.room),
        (handover, "submit", world.desk.submit),
        (handover, "pause_when_crowded", lambda: 0.2),
    ]


def _moment(world: "World") -> datetime:
    return EPOCH + timedelta(seconds=world.clock.now)


def _work(world: "World", leg: Leg, order_ids: Sequence[int]) -> Outcomes:
    """Stand in for what a leg does outside: in one of its ways, or for a moment in none."""
    outcomes: dict[int, Reached | None] = {}
    away = [state for state in leg.states.values() if state.mark is Mark.AWAY]
    for order_id in order_ids:
        world.clock.sleep(0.01)
        if world.dice.happens("crowded"):
            outcomes[order_id] = None
        elif away and world.dice.happens("not_sent"):
            outcomes[order_id] = Reached(away[0])
        elif not world.dice.happens("unanswered_before"):
            outcomes[order_id] = Reached(world.verdict(leg, order_id))
    return outcomes


def _woken(world: "World", order_ids: Sequence[int]) -> int:
    woken = world.database.make_due(order_ids)
    if woken:
        world.ring()
    return woken


def _quoted(world: "World", order_ids: Sequence[int]) -> dict[int, Decimal | quotes.Refusal]:
    refusal = quotes.Refusal(quotes.NOT_SHIPPABLE, "We do not deliver there.")
    return {
        order_id: SHIPPING if world.database.facts[order_id].country == "US" else refusal
        for order_id in order_ids
    }


def _hold_all(world: "World") -> Callable[..., Gathered[Any]]:
    """Hold conversations one after the other; some answer after the caller has gone on, some never begin."""

    def hold_all(
        conversations: Sequence[Conversation[Any]], *, patience: float, on_late: Callable[[int, Any], None]
    ) -> Gathered[Any]:
        until, results, late = world.clock.now + patience, {}, set()
        for place, conversation in enumerate(conversations):
            if world.clock.now > until:
                break
            if world.dice.happens("slow"):
                late.add(place)
                _begin_late(world, place, conversation, on_late)
            else:
                results[place] = held(conversation)
        return Gathered(results, frozenset(late))

    return hold_all


def _begin_late(
    world: "World", place: int, conversation: Conversation[Any], on_late: Callable[[int, Any], None]
) -> None:
    def report() -> None:
        with suppress(OperationalError, Planned):  # the pool logs it
            on_late(place, held(conversation))

    world.clock.start("late answer", report, after=world.dice.uniform(2, 20))


class Books:
    """The payment ledger's table."""

    def __init__(self, world: "World") -> None:
        self._world, self._database, self._statements = world, world.database, 0

    def charges(self, order_ids: Sequence[int]) -> list[Request]:
        return [self._charge(order_id) for order_id in order_ids]

    def _charge(self, order_id: int) -> Request:
        facts = self._database.facts[order_id]
        return Request(order_id, facts.reference, facts.amount + SHIPPING, "USD", facts.token)

    def prepare(self, kind: Kind, requests: Sequence[Request]) -> list[Prepared]:
        return [self._prepare(kind, request) for request in requests]

    def _prepare(self, kind: Kind, request: Request) -> Prepared:
        place = (request.order_id, kind)
        self._database.lock(place)
        entry = self._database.payments.get(place)
        if entry is not None:
            return self._ask_again(place, entry, request)
        now = self._next_moment()
        entry = Entry(
            request.order_id, kind, request.reference, request.amount, request.currency, request.token,
            State.UNKNOWN, "", "", "", now,
        )  # fmt: skip
        self._database.write(partial(self._put, place, entry))
        return Prepared(request, kind, State.UNKNOWN, True, now.isoformat(), self._world.clock.now)

    def _ask_again(self, place: tuple[int, Kind], entry: Entry, request: Request) -> Prepared:
        if entry.state is State.UNKNOWN:
            entry = replace(entry, asked_at=self._next_moment())
            self._database.write(partial(self._put, place, entry))
        asked_at = entry.asked_at.isoformat()
        return Prepared(
            request,
            place[1],
            entry.state,
            False,
            asked_at,
            self._world.clock.now,
            entry.provider_id,
            entry.code,
        )

    def _put(self, place: tuple[int, Kind], entry: Entry) -> None:
        self._database.payments[place] = entry

    def _next_moment(self) -> datetime:
        """Return the time by the database's clock, on which no two statements fall together."""
        self._statements += 1
        return _moment(self._world) + timedelta(microseconds=self._statements % 1000)

    def record(self, kind: Kind, outcomes: dict[int, Outcome]) -> set[int]:
        news = set()
        for order_id, outcome in outcomes.items():
            if outcome.kind != "not_sent" and self._is_news((order_id, kind), outcome):
                news.add(order_id)
        return news

    def _is_news(self, place: tuple[int, Kind], outcome: Outcome) -> bool:
        self._database.lock(place)
        entry = self._database.payments.get(place)
        if entry is None:
            return False
        comes_after_all = entry.code == ledger.NEVER_ARRIVED and outcome.kind == "succeeded"
        if entry.state is not State.UNKNOWN and not comes_after_all:
            return False
        known = replace(entry, state=State(outcome.kind), provider_id=outcome.provider_id, code=outcome.code)
        self._database.write(partial(self._put, place, known))
        return True

    def delete_unsent(self, kind: Kind, prepared: Sequence[Prepared]) -> None:
        for one in prepared:
            self._database.write(partial(self._forget, (one.request.order_id, kind), one.asked_at))

    def _forget(self, place: tuple[int, Kind], asked_at: str) -> None:
        entry = self._database.payments.get(place)
        if entry is not None and entry.state is State.UNKNOWN and entry.asked_at.isoformat() == asked_at:
            del self._database.payments[place]

    def reopen(self, kind: Kind, order_ids: Iterable[int]) -> None:
        for order_id in order_ids:
            self._database.lock((order_id, kind))
            entry = self._database.payments.get((order_id, kind))
            if entry is not None and entry.state is State.DECLINED:
                self._put((order_id, kind), replace(entry, state=State.UNKNOWN, code=""))

    def transactions_of(self, order_ids: Iterable[int]) -> dict[int, dict[str, Entry]]:
        found: dict[int, dict[str, Entry]] = {}
        for order_id in order_ids:
            for kind in Kind:
                if entry := self._database.payments.get((order_id, kind)):
                    found.setdefault(order_id, {})[kind] = entry
        return found

    def held(self, order_ids: Iterable[int]) -> list[Request]:
        found = [
            book[Kind.AUTHORIZE]
            for book in self.transactions_of(order_ids).values()
            if Kind.AUTHORIZE in book
        ]
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
        entries = [self._database.payments.get((order_id, kind)) for order_id in order_ids]
        return [entry for entry in entries if entry is not None]


def send(world: "World") -> Callable[[Claimed], None]:
    """Return how the dispatcher sends a batch on its way here."""
    return world.broker.send
