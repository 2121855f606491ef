"""Where the made-up world is put in the place of the real one: every function that touches anything outside.

The production code calls these through their modules and managers (`Journey.objects.lock_batch(…)`), so those are
the ports: nothing in it knows that it can be simulated.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from django.conf import settings
from django.db import OperationalError
from rest_framework.response import Response

import faults
from api import idempotency
from api.managers import IdempotencyKeyManager
from faults.script import Planned
from inventory.managers import SELL, StockItemManager
from orders import batches, commands, queries, steps, wakeup
from orders.batches import Claimed
from orders.legs import BY_NAME
from orders.limits import declines
from orders.maintenance import expiry as maintenance
from orders.managers import JourneyManager
from orders.payment import answers, handover
from orders.refunding import capturing, crediting, parts, reversals
from orders.rules.leg_types import Leg, Mark, Outcomes, Reached
from orders.waits import shortages
from payments import expiry, ledger, returns, talking
from payments.talking import Direct
from providers.concurrency import Gathered
from providers.conversation import Conversation
from providers.late import OnLate
from shipping import quotes
from tests.simulation.books import SHIPPING, Books, moment
from tests.simulation.desk import held

if TYPE_CHECKING:
    from payments.gateways.protocol import PaymentGateway
    from tests.simulation.world import World

# Before an authorization expires.
ALERT_SECONDS = 8.0


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
    database, books, credits_ = world.database, Books(world), world.credits
    transactions = SimpleNamespace(atomic=database.atomic)
    return [
        *(
            (module, "transaction", transactions)
            for module in (
                steps,
                answers,
                handover,
                batches,
                commands,
                capturing,
                returns,
                parts,
                reversals,
                idempotency,
                shortages,
                maintenance,
            )
        ),
        (steps, "database_now", lambda: moment(world)),
        (capturing, "database_now", lambda: moment(world)),
        (maintenance, "names_in_use", lambda: [""]),
        *(
            (module, "expires_after", lambda _: world.provider.expires_after)
            for module in (maintenance, expiry)
        ),
        (expiry, "record", books.record_expiry),
        (JourneyManager, "held_for", lambda _, __, **which: books.held_for(**which)),
        (settings, "AUTHORIZATION_ALERT_HOURS", ALERT_SECONDS / 3600),
        (steps, "WORK", steps.WORK | {name: partial(_work, world, BY_NAME[name]) for name in steps.WORK}),
        (faults, "point", world.point),
        (JourneyManager, "lock", lambda _, ids: database.lock_journeys(ids)),
        (
            JourneyManager,
            "lock_batch",
            lambda _, ids, *, batch_id: database.lock_batch(ids, batch_id=batch_id),
        ),
        (JourneyManager, "lock_due", lambda _, limit, **_only: database.lock_due(limit)),
        (JourneyManager, "are_due", lambda _, count: database.are_due(count)),
        (JourneyManager, "save_all", lambda _, states: database.save(states)),
        (batches, "_new_batch", database.new_batch),
        (batches, "under_way", lambda: database.under_way(settings.LEASE_SECONDS)),
        (batches, "finish", database.finish_batch),
        (batches, "acquire_batch", database.acquire_batch),
        (batches, "finish_run", database.finish_run),
        (batches, "reclaim_expired", database.take_over),
        (wakeup, "wake_dispatcher", lambda: database.write(world.ring)),
        (wakeup, "announce_events", lambda: None),
        (StockItemManager, "_lock", lambda _, ids: database.lock_stock(ids)),
        (StockItemManager, "_holders", lambda _, ids: database.holders(ids)),
        (StockItemManager, "_hold", lambda _, reserved: database.hold(reserved)),
        (StockItemManager, "_close", lambda _, statement, ids: database.close(ids, sold=statement is SELL)),
        (StockItemManager, "take_back", lambda _, *, lines: database.take_back(lines)),
        (quotes, "quote", lambda *, parcels: _quoted(world, parcels)),
        (StockItemManager, "release_units", lambda _, *, lines: credits_.release_units(lines=lines)),
        (crediting, "of_orders", credits_.of_orders),
        (crediting, "grant", credits_.grant),
        (crediting, "set_state", credits_.set_state),
        (parts, "_read", credits_.read),
        (IdempotencyKeyManager, "claim", lambda _, *, key, **__: credits_.claim_key(key)),
        (IdempotencyKeyManager, "get", lambda _, **__: None),
        (idempotency, "_store_answer", lambda *_: None),
        (idempotency, "_replay", lambda *_: Response({})),
        (queries, "parcels", lambda order_ids: _parcels(world, order_ids)),
        (queries, "wanted_units", database.wanted_units),
        (shortages, "wanted", database.wanted),
        (shortages, "units", database.units),
        (shortages, "_out_of_patience", database.out_of_patience),
        (shortages, "_queue", database.queue),
        (shortages, "update_queue", lambda **_: None),
        (JourneyManager, "wake_queued", lambda _, ids: database.make_due(ids)),
        (declines, "note", lambda outcomes: None),
        (queries, "charges", books.charges),
        (ledger, "prepare", books.prepare),
        (ledger, "record", books.record),
        (ledger, "reverse", books.reverse),
        (ledger, "pay_by", lambda order_id: None),
        (ledger, "_delete", books.delete),
        (ledger, "monotonic", lambda: world.clock.now),
        (ledger, "entries_of", books.entries_of),
        (ledger, "held", books.held),
        (ledger, "listed", lambda requests: requests),
        (ledger, "unknown_of", books.unknown_of),
        (ledger, "not_refused", books.not_refused),
        *(
            (module, "talk", lambda _name: Direct(cast("PaymentGateway", world.provider)))
            for module in (ledger, returns)
        ),
        *((module, "hold_all", _hold_all(world)) for module in (ledger, returns)),
        (talking, "is_handed_over", lambda: world.hands_over),
        (handover, "room", world.desk.room),
        (handover, "submit", world.desk.submit),
        (handover, "pause_when_crowded", lambda: 0.2),
    ]


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


def _parcels(world: "World", order_ids: Sequence[int]) -> list[quotes.Parcel]:
    known = world.database.facts
    return [
        quotes.Parcel(each, known[each].country, 0, known[each].amount, "USD", known[each].adjusted)
        for each in order_ids
    ]


def _quoted(world: "World", parcels: Sequence[quotes.Parcel]) -> dict[int, Decimal | quotes.Refusal]:
    """Gifts are shipped free of charge."""
    refusal = quotes.Refusal(quotes.NOT_SHIPPABLE, "We do not deliver there.")
    return {
        parcel.order_id: refusal
        if parcel.country != "US"
        else SHIPPING
        if parcel.goods_amount
        else Decimal(0)
        for parcel in parcels
    }


def _hold_all(world: "World") -> Callable[..., Gathered[Any]]:
    """Hold conversations one after the other; some answer after the caller has gone on, some never begin."""

    def hold_all(
        conversations: Sequence[Conversation[Any]],
        *,
        patience: float,
        on_late: OnLate[Any],
        gateways: Sequence[str],
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


def _begin_late(world: "World", place: int, conversation: Conversation[Any], on_late: OnLate[Any]) -> None:
    def report() -> None:
        with suppress(OperationalError, Planned):  # its thread logs it
            on_late([(place, held(conversation))])

    world.clock.start("late answer", report, after=world.dice.uniform(2, 20))


def send(world: "World") -> Callable[[Claimed], None]:
    """Return how the dispatcher sends a batch on its way here."""
    return world.broker.send
