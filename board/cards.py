"""Orders as the board shows them: cards in lanes, and how many there are in each."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet

from orders import journal
from orders.http.responses import Answer, status_name
from orders.models import Journey, Order
from orders.operators.search import found
from orders.operators.wording import attention as in_words
from orders.operators.wording import waits_for
from orders.queries import visible_to
from orders.reporting import stats
from orders.workflow import UNDER_WAY, Status
from scheduling.slots import database_now

# Cards of a lane that a browser gets to begin with; it shows fewer and keeps the rest in reserve.
CARDS_PER_LANE = 60
MAX_CARDS_AT_ONCE = 200
FOUND_AT_MOST = 20
# Orders of one customer that are counted; whoever has more gets counts of the latest.
COUNTED_ORDERS = 50_000
# Lanes of orders that have ended are filled from the latest orders, whatever the history.
SEARCHED_ROWS = 20_000


class Lane(StrEnum):
    """Where a card hangs. Follows the order's status, except for those that a person should look at."""

    PENDING = "pending"
    PROCESSING = "processing"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    UNDOING = "undoing"
    ENDED = "ended"
    ATTENTION = "attention"


LANE_OF = {
    Status.PENDING: Lane.PENDING,
    Status.PROCESSING: Lane.PROCESSING,
    Status.CONFIRMED: Lane.CONFIRMED,
    Status.COMPLETED: Lane.COMPLETED,
    Status.CANCELLING: Lane.UNDOING,
    Status.CANCELLED: Lane.ENDED,
    Status.REJECTED: Lane.ENDED,
}
NEEDS_ATTENTION = ~Q(journey__attention="") & Q(journey__status__in=UNDER_WAY)


class Card(Answer):
    """An order as a card shows it. `version` is the sequence of the last event that it has seen."""

    id: int
    number: str
    uuid: str
    customer: str
    amount: Decimal
    currency: str
    status: str
    version: int
    progress: int
    stock: str
    shipping: str
    payment: str
    waits_for: str
    attention: bool
    reason: str
    why: str  # a person should look at it; told to staff only
    placed_at: datetime


class LaneContent(Answer):
    """A lane: how many orders are in it, and the cards of the newest."""

    count: int
    is_estimate: bool
    cards: list[Card]


class Cards(Answer):
    """Some orders."""

    cards: list[Card]


class Snapshot(Answer):
    """The board at one moment, and from where in the journal to go on.

    `counted` are the orders whose latest events follow `position` and are counted already: up to which sequence.
    """

    position: str
    at: datetime
    lanes: dict[str, LaneContent]
    counted: dict[str, int]


def snapshot(user: User) -> Snapshot:
    """Return the board as a user may see it: what is counted and where to go on are of one moment."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        position = journal.end()
        counts = lane_counts(user)
        return Snapshot(
            position=str(position),
            at=database_now(),
            lanes={lane.value: _content(user, lane, counts[lane]) for lane in Lane},
            counted=_counted_after(position),
        )


def cards_of(user: User, order_ids: Iterable[int]) -> Cards:
    """Return the cards of those of the orders that a user may see."""
    return Cards(_cards(user, visible_to(user).filter(pk__in=order_ids)))


def search(user: User, text: str) -> Cards:
    """Return the newest orders that a search means."""
    return Cards(_cards(user, found(visible_to(user), text).order_by("-pk")[:FOUND_AT_MOST]))


def newest(user: User) -> list[Card]:
    """Return the newest orders, for a page without a script."""
    return _cards(user, visible_to(user).order_by("-pk")[:FOUND_AT_MOST])


def _cards(user: User, orders: Iterable[Order]) -> list[Card]:
    return [card(order, for_staff=user.is_staff) for order in orders]


def card(order: Order, *, for_staff: bool = False) -> Card:
    """Return an order's card. What broke inside is for staff."""
    journey = order.journey
    return Card(
        id=order.pk,
        number=order.number,
        uuid=str(order.uuid),
        customer=order.customer_name,
        amount=order.total_amount,
        currency=order.currency,
        status=status_name(journey.status),
        version=journey.sequence,
        progress=journey.progress,
        stock=journey.stock,
        shipping=journey.shipping,
        payment=journey.payment,
        waits_for=what_it_waits_for(journey),
        attention=needs_attention(journey),
        reason=journey.reason.replace("_", " "),
        why=in_words(journey.attention) if for_staff and needs_attention(journey) else "",
        placed_at=order.placed_at,
    )


def needs_attention(journey: Journey) -> bool:
    """Whether a person should look at it. What came right meanwhile needs nobody any more."""
    return bool(journey.attention) and journey.status in UNDER_WAY


def what_it_waits_for(journey: Journey) -> str:
    """Return in a few words what an order waits for; nothing if it does not."""
    if journey.status == Status.PENDING and journey.due_at is None:
        return "somebody to start it"
    if needs_attention(journey) and journey.due_at is None:
        return "a person"
    return waits_for(journey.waiting_for)


# --- Lanes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaneCount:
    """How many orders are in a lane, and whether that was counted or estimated."""

    orders: int = 0
    is_estimate: bool = False


def lane_counts(user: User) -> dict[Lane, LaneCount]:
    """Return how many of the orders that a user may see are in each lane."""
    by_status = _all_by_status() if user.is_staff else _own_by_status(user)
    urgent = visible_to(user).filter(NEEDS_ATTENTION).order_by()
    urgent_by_status = dict(urgent.values_list("journey__status").annotate(Count("pk")))
    counts = dict.fromkeys(Lane, LaneCount())
    for status, count in by_status.items():
        lane, quiet = LANE_OF[Status(status)], count.orders - urgent_by_status.get(status, 0)
        counts[lane] = LaneCount(counts[lane].orders + quiet, counts[lane].is_estimate or count.is_estimate)
    return counts | {Lane.ATTENTION: LaneCount(sum(urgent_by_status.values()))}


def _all_by_status() -> dict[str, LaneCount]:
    counted = stats.orders_by_state()
    return {status: LaneCount(count.orders, count.is_estimate) for status, count in counted.items()}


OWN = """
    WITH latest AS (SELECT id FROM orders_order WHERE owner_id = %s ORDER BY id DESC LIMIT %s)
    SELECT j.status, count(*) FROM latest JOIN orders_journey j ON j.order_id = latest.id GROUP BY 1
"""


def _own_by_status(user: User) -> dict[str, LaneCount]:
    with connection.cursor() as cursor:
        cursor.execute(OWN, [user.pk, COUNTED_ORDERS])
        rows = cursor.fetchall()
    there_are_more = sum(count for _, count in rows) >= COUNTED_ORDERS
    return {status: LaneCount(count, there_are_more) for status, count in rows}


def _content(user: User, lane: Lane, count: LaneCount) -> LaneContent:
    orders = _orders_in(user, lane).order_by("-pk")[:CARDS_PER_LANE] if count.orders else []
    return LaneContent(count=count.orders, is_estimate=count.is_estimate, cards=_cards(user, orders))


def _orders_in(user: User, lane: Lane) -> QuerySet[Order]:
    orders = visible_to(user)
    if lane is Lane.ATTENTION:
        return orders.filter(NEEDS_ATTENTION)
    statuses = [status for status, its_lane in LANE_OF.items() if its_lane is lane]
    orders = orders.filter(journey__status__in=statuses)
    if UNDER_WAY.issuperset(statuses):
        return orders.filter(journey__attention="")
    return orders.filter(pk__gt=stats.latest_id() - SEARCHED_ROWS)


COUNTED = """
    SELECT order_id::text, max(sequence) FROM orders_orderevent WHERE transaction_id >= %s GROUP BY 1
"""


def _counted_after(position: journal.Position) -> dict[str, int]:
    # Transactions that ended while an older one had not: few, and their events are told again by the feed.
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, [position.transaction_id])
        return dict(cursor.fetchall())
