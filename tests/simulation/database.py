"""The simulated database: rows, row locks, transactions that commit or roll back, and commits of unknown fate."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import OperationalError

from inventory.stock import Wanted
from orders import legs
from orders.batches import FRESH_SECONDS, BatchLease, ExpiredBatch, Progress, UnderWay
from orders.events import EventType
from orders.legs import PAYMENT, STOCK
from orders.managers import journeys
from orders.rules.adjustments import Adjustment
from orders.status import Status
from orders.waits.shortages import Queue, Units
from orders.workflow import JourneyState
from tests.simulation.actors import Actor, Clock
from tests.simulation.credits import Table
from tests.simulation.dice import Dice
from tests.simulation.invariants import Watch

# What is stored of a journey under these names; `is_due` follows from when it is due.
KEPT = [name for name in journeys.FIELDS if name != "is_due"]
_kept_of = attrgetter(*KEPT)


@dataclass(slots=True)
class Facts:
    """What a customer asked for."""

    order_id: int
    reference: str
    amount: Decimal
    token: str
    country: str
    lines: dict[int, int]  # units of each product
    hold: bool
    adjustments: Sequence[Adjustment] = ()
    adjusted: Decimal = Decimal(0)  # what the placing makes of them
    later: bool = False  # captured by staff, in parts


@dataclass(slots=True)
class Row:
    """A journey as it is committed."""

    state: dict[str, Any]  # JourneyState's fields by name: what the columns hold
    due_at: float | None
    events: list[tuple[int, str]] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)  # for what it waited

    @property
    def status(self) -> Status:
        return self.state["status"]

    @property
    def attention(self) -> str:
        return self.state["attention"]

    @property
    def is_queued(self) -> bool:
        """Whether it waits for units, and is tried again."""
        return self.state["stock"] is STOCK.SHORT and self.due_at is not None


@dataclass(slots=True)
class Item:
    """A product's units."""

    on_hand: int
    reserved: int = 0
    sold: int = 0


@dataclass(slots=True)
class Transaction:
    """What a process has locked and will write when it commits."""

    depth: int = 1
    locks: list[object] = field(default_factory=list)
    writes: list[Callable[[], None]] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)
    payments: dict[tuple[int, int], Any] = field(
        default_factory=dict
    )  # of the writes, to be read before the commit


class Database:
    """Everything that outlives a process."""

    def __init__(self, clock: Clock, dice: Dice, watch: Watch) -> None:
        self.clock, self._dice, self._watch = clock, dice, watch
        self.facts: dict[int, Facts] = {}
        self.journeys: dict[int, Row] = {}
        self.stock: dict[int, Item] = {}
        self.reservations: dict[int, dict[int, int]] = {}
        self.payments: dict[tuple[int, int], Any] = {}
        self.credits: Table = {}
        self.clicks: Counter[int] = Counter()  # requests for refunds, by order
        self.lease: Counter[int] = Counter()  # steps that began and have not ended, for each watched batch
        self.watched: set[int] = set()
        self.losses: dict[int, int] = {}
        self.queued_at: dict[int, float] = {}  # since when orders queue for units
        self.batches: dict[int, tuple[float, int]] = {}  # those under way: started at, size
        self.travellers: dict[int, list[int]] = {}  # each batch's orders
        self._batch_numbers = 0
        self._locked: dict[object, Actor] = {}
        self._queues: dict[object, list[Actor]] = {}

    # --- Transactions ---

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction of the process that runs now; one inside another belongs to the outer."""
        actor = self.clock.current
        assert actor is not None
        if actor.transaction is not None:
            yield
            return
        actor.transaction = transaction = Transaction()
        try:
            yield
            self._commit(transaction)
        finally:
            self._release(transaction)
            actor.transaction = None

    def _commit(self, transaction: Transaction) -> None:
        if self._dice.random() < 0.2:
            self.clock.sleep(0.05 * self._dice.random())
        fate = self._dice.commit()
        if fate != "lost before":
            for write in transaction.writes:
                write()
            self._watch.committed(self, transaction.touched)
        if fate != "committed":
            raise OperationalError(f"the connection was {fate} the answer to COMMIT")

    def _release(self, transaction: Transaction) -> None:
        for key in transaction.locks:
            del self._locked[key]
            if queue := self._queues.get(key):
                self.clock.wake(queue)

    def lock(self, key: object) -> None:
        """Hold a row until the transaction ends; wait for its holder."""
        actor = self.clock.current
        assert actor is not None
        while (holder := self._locked.get(key)) is not None:
            if holder is actor:
                return
            self.clock.wait_in(self._queues.setdefault(key, []))
        if actor.transaction is not None:
            self._locked[key] = actor
            actor.transaction.locks.append(key)

    def write(self, what: Callable[[], None], touched: Iterable[int] = ()) -> None:
        """Write when the transaction commits; at once if there is none."""
        assert self.clock.current is not None
        transaction = self.clock.current.transaction
        if transaction is None:
            what()
            self._watch.committed(self, set(touched))
        else:
            transaction.writes.append(what)
            transaction.touched.update(touched)

    # --- Journeys: stands in for their manager ---

    def lock_journeys(self, order_ids: Sequence[int]) -> list[JourneyState]:
        for order_id in sorted(order_ids):
            self.lock(order_id)
        return [self._state(order_id) for order_id in sorted(order_ids) if order_id in self.journeys]

    def lock_batch(self, order_ids: Sequence[int], *, batch_id: int) -> list[JourneyState]:
        # A committed row is found, waited for while another transaction holds it, and read again once locked.
        candidates = [order_id for order_id in sorted(order_ids) if self._is_in(order_id, batch_id)]
        for order_id in candidates:
            self.lock(order_id)
        return [self._state(order_id) for order_id in candidates if self._is_in(order_id, batch_id)]

    def lock_due(self, limit: int) -> list[JourneyState]:
        now = self.clock.now
        due = [
            (row.due_at, order_id)
            for order_id, row in self.journeys.items()
            if row.due_at is not None and row.due_at <= now and order_id not in self._locked
        ]
        chosen = [order_id for _, order_id in sorted(due)[:limit]]
        for order_id in chosen:
            self.lock(order_id)
        return [self._state(order_id) for order_id in chosen]

    def _is_in(self, order_id: int, batch_id: int) -> bool:
        return bool(self.journeys[order_id].state["batch_id"] == batch_id)

    def _state(self, order_id: int) -> JourneyState:
        row = self.journeys[order_id]
        return JourneyState(**row.state, is_due=row.due_at is not None)

    def save(self, states: Iterable[JourneyState]) -> None:
        for state in list(states):
            self._watch.about_to_save(self, state)
            self.write(self._saving(state), [state.order_id])
            state.events.clear()

    def _saving(self, s: JourneyState) -> Callable[[], None]:
        fields = dict(zip(KEPT, _kept_of(s), strict=True))
        # The column holds one wait: those of states are read from the states.
        fields["wait"] = legs.WAITS_OF_NO_STATE.get(s.waiting_for)
        events = [(event.sequence, str(event.type)) for event in s.events]
        waits = [event.data["waiting_for"] for event in s.events if event.type is EventType.WAITING]
        reschedule, due_in = s.reschedule, s.due_in

        def write() -> None:
            row = self.journeys[s.order_id]
            if s.stock is STOCK.SHORT:
                self.queued_at.setdefault(s.order_id, self.clock.now)
            row.state = fields
            row.events += events
            row.waits += waits
            if reschedule:
                row.due_at = None if due_in is None else self.clock.now + due_in

        return write

    def renew(self, order_id: int, lease: float) -> None:
        """Stand in for `handover.RENEW`, which passes over what is locked."""
        row = self.journeys[order_id]
        is_free = (
            row.state["batch_id"] is None and row.status is Status.PROCESSING and order_id not in self._locked
        )
        if is_free and row.due_at is not None and row.due_at > self.clock.now:
            row.due_at = max(row.due_at, self.clock.now + lease)

    # --- Batches: stands in for the batch table ---

    def new_batch(self, order_ids: list[int], *, is_watched: bool, is_bulk: bool, losses: int) -> int:
        self._batch_numbers += 1
        self.losses[self._batch_numbers] = losses
        if is_watched:
            self.watched.add(self._batch_numbers)
        number, started = self._batch_numbers, self.clock.now
        self.travellers[number] = order_ids
        self.write(lambda: self.batches.__setitem__(number, (started, len(order_ids))))
        return number

    def finish_batch(self, batch_id: int) -> None:
        self.write(lambda: self.batches.pop(batch_id, None) and None)

    def acquire_batch(
        self, batch_id: int, *, step: str, progress: Progress | None = None
    ) -> BatchLease | None:
        if batch_id not in self.batches:
            return None
        run_id = None
        if batch_id in self.watched:
            self.lease[batch_id] += 1
            run_id = batch_id
        return BatchLease(batch_id, self.travellers[batch_id], step, "", run_id)

    def finish_run(self, lease: BatchLease) -> None:
        if lease.is_whole and lease.run_id is not None:
            self.write(lambda: self.lease.subtract([lease.batch_id]))

    def take_over(self, batch_ids: Iterable[int]) -> list[ExpiredBatch]:
        for batch_id in batch_ids:
            self.finish_batch(batch_id)
        return [ExpiredBatch(id_, self.losses[id_], was_started=self.lease[id_] > 0) for id_ in batch_ids]

    def under_way(self, lease: float) -> UnderWay:
        now = self.clock.now
        travelling = [(started, size) for started, size in self.batches.values() if started > now - lease]
        fresh = [started for started, _ in travelling if started > now - FRESH_SECONDS]
        return UnderWay(len(travelling), sum(size for _, size in travelling), len(fresh), bulks=0)

    def are_due(self, count: int) -> bool:
        due = [
            row for row in self.journeys.values() if row.due_at is not None and row.due_at <= self.clock.now
        ]
        return len(due) >= count

    # --- Stock: stands in for the statements of inventory.stock ---

    def lock_stock(self, product_ids: Iterable[int]) -> dict[int, int]:
        products = sorted(set(product_ids))
        for product_id in products:
            self.lock(("stock", product_id))
        return {p: self.stock[p].on_hand - self.stock[p].reserved for p in products}

    def holders(self, order_ids: Iterable[int]) -> list[int]:
        return [order_id for order_id in order_ids if order_id in self.reservations]

    def hold(self, reserved: Sequence[Wanted]) -> None:
        def write() -> None:
            for order_id, product_id, quantity in reserved:
                self.reservations.setdefault(order_id, {})[product_id] = quantity
                self.stock[product_id].reserved += quantity

        self.write(write)

    def close(self, order_ids: Iterable[int], *, sold: bool) -> None:
        held = {id_: self.reservations[id_] for id_ in order_ids if id_ in self.reservations}
        self.lock_stock(product for lines in held.values() for product in lines)

        def write() -> None:
            for order_id in held:
                for product_id, quantity in self.reservations.pop(order_id, {}).items():
                    item = self.stock[product_id]
                    item.reserved -= quantity
                    if sold:
                        item.on_hand -= quantity
                        item.sold += quantity

        self.write(write)

    def take_back(self, lines: Sequence[Wanted]) -> None:
        self.lock_stock(line.product_id for line in lines)

        def write() -> None:
            for _, product_id, quantity in lines:
                self.stock[product_id].on_hand += quantity
                self.stock[product_id].sold -= quantity

        self.write(write)

    # --- The queue for units: stands in for the statements of orders.waits.shortages ---

    def wanted(self, order_ids: Sequence[int]) -> tuple[list[Wanted], list[Wanted]]:
        own = self.wanted_units(order_ids)
        products, last = {line.product_id for line in own}, max(order_ids, default=0)
        ahead = [
            order_id
            for order_id, row in sorted(self.journeys.items())
            if row.is_queued and order_id < last and order_id not in order_ids
        ]
        return own, self.wanted_units([id_ for id_ in ahead if products & self.facts[id_].lines.keys()])

    def units(self, product_ids: Iterable[int]) -> dict[int, Units]:
        return {product_id: self._units(product_id) for product_id in product_ids}

    def _units(self, product_id: int) -> Units:
        # What this transaction is about to hold is not written yet: its own orders are not paid either.
        item = self.stock[product_id]
        free = item.on_hand - item.reserved
        return Units(free, free + self.unpaid(product_id))

    def unpaid(self, product_id: int) -> int:
        """Units of a product that orders hold which may yet lose them."""
        holders = [id_ for id_, lines in self.reservations.items() if product_id in lines]
        return sum(
            self.reservations[id_][product_id] for id_ in holders if self._may_lose(self.journeys[id_])
        )

    def _may_lose(self, row: Row) -> bool:
        is_paid = row.state["payment"] is PAYMENT.CAPTURED
        return row.status is Status.CANCELLING or (row.status is Status.PROCESSING and not is_paid)

    def out_of_patience(self, order_ids: Iterable[int]) -> set[int]:
        before = self.clock.now - settings.STOCK_WAIT_SECONDS
        return {order_id for order_id in order_ids if self.queued_at[order_id] <= before}

    def queue(self) -> Queue:
        now = self.clock.now
        return {
            order_id: (self.facts[order_id].lines, row.due_at <= now or row.state["batch_id"] is not None)
            for order_id, row in sorted(self.journeys.items())
            if row.is_queued and row.due_at is not None
        }

    def make_due(self, order_ids: Iterable[int]) -> int:
        asleep = [
            id_
            for id_ in order_ids
            if id_ not in self._locked and self.journeys[id_].state["batch_id"] is None
        ]
        for order_id in asleep:
            self.journeys[order_id].due_at = self.clock.now
        return len(asleep)

    # --- Reading ---

    def wanted_units(self, order_ids: Sequence[int]) -> list[Wanted]:
        return [
            Wanted(id_, product, units)
            for id_ in order_ids
            for product, units in self.facts[id_].lines.items()
        ]

    def place(self, facts: Facts) -> None:
        """Store a new order."""
        new = JourneyState(facts.order_id, Status.PENDING, 1)
        new.payment = PAYMENT.LATER if facts.later else new.payment
        fields = {name: getattr(new, name) for name in KEPT}
        self.facts[facts.order_id] = facts
        due_at = None if facts.hold else self.clock.now
        self.journeys[facts.order_id] = Row(fields, due_at, [(1, "order_placed")])
