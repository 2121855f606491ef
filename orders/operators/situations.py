"""What an order may be doing, and the facts that tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from orders.events import EventType
from orders.legs import WAITS
from orders.models import Journey, Order, OrderEvent
from payments.ledger import Kind, State
from payments.models import Transaction

DISPATCHER_PATIENCE = timedelta(seconds=15)


WAITS_FOR_NOTHING = "nothing"


class Situation(StrEnum):
    AT_REST = "at_rest"
    HELD = "held"
    DUE = "due"
    NOT_CLAIMED = "not_claimed"  # due, and no dispatcher claims it
    UNDER_WAY = "under_way"
    BATCH_LOST = "batch_lost"
    BROKER = "broker"
    NO_WORKER = "no_worker"
    LOST_STEP = "lost_step"
    ATTENTION = "attention"
    COMPLETION = "completion"


SITUATIONS = tuple(dict.fromkeys([*(situation.value for situation in Situation), *WAITS]))


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an order is where it is. `next_look` is the next automatic retry."""

    situation: str  # a Situation, or the code of a leg's wait
    waiting_for: str
    since: datetime | None
    why: str
    safe_to_retry: bool
    next_action: str
    next_look: datetime | None = None

    @property
    def is_on_its_way(self) -> bool:
        return self.situation in (Situation.DUE, Situation.UNDER_WAY, Situation.COMPLETION)

    @property
    def text(self) -> str:
        return " ".join(part for part in (self.why, self.next_action) if part)


class Facts(NamedTuple):
    """What an explanation is derived from."""

    order: Order
    journey: Journey
    now: datetime
    book: Sequence[Transaction]  # the calls to the payment provider

    @property
    def unknown(self) -> list[Transaction]:
        found = (t for t in self.book if t.state == State.UNKNOWN and t.kind != Kind.DISPUTE)
        return sorted(found, key=lambda transaction: transaction.started_at)

    @property
    def is_overdue(self) -> bool:
        due_at = self.journey.due_at
        return due_at is not None and self.now - due_at > DISPATCHER_PATIENCE

    def since(self, *types: EventType) -> datetime:
        """Return when the latest event of these types happened; failing that, of all."""
        events = OrderEvent.objects.filter(order_id=self.order.pk)
        latest = events.filter(type__in=types).order_by("-sequence").first()
        latest = latest or events.order_by("-sequence").first()
        return latest.at if latest else self.order.placed_at
