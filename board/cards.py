"""The board's cards and lane counts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet

from api.responses import Answer
from database import replica
from orders import journal, queries
from orders.http.responses import LegCodes, status_name
from orders.legs import LEGS, NAMES
from orders.models import Journey, Order
from orders.operators.search import found
from orders.permissions import sees_all_orders
from orders.queries import visible_to
from orders.reporting import stats
from orders.reporting.wording import attention as in_words
from orders.reporting.wording import reason_in_words, waits_for
from orders.status import UNDER_WAY, Status
from scheduling.slots import database_now

# The browser shows fewer and keeps a reserve.
CARDS_PER_LANE = 60
MAX_CARDS_AT_ONCE = 200
FOUND_AT_MOST = 20
# Customers' counts cover their latest orders.
COUNTED_ORDERS = 50_000
# Lanes of finished orders search only the latest.
SEARCHED_ROWS = 20_000


class Lane(StrEnum):
    """A card's lane: its status, or attention."""

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


class Card(LegCodes):  # type: ignore[valid-type, misc]
    """An order. `version` is its last event's sequence."""

    id: int
    number: str
    uuid: str
    customer: str
    amount: Decimal
    currency: str
    status: str
    version: int
    progress: int
    waits_for: str
    attention: bool
    reason: str
    why: str  # why it needs attention; staff only
    placed_at: datetime


class LaneContent(Answer):
    """A lane: its number of orders, and the newest cards."""

    count: int
    is_estimate: bool
    cards: list[Card]


class Cards(Answer):
    """Cards of orders."""

    cards: list[Card]


class Snapshot(Answer):
    """The board at one moment, and the journal position to continue from.

    `counted` maps orders with later events to the last sequence counted.
    """

    position: str
    at: datetime
    lanes: dict[str, LaneContent]
    counted: dict[str, int]


def snapshot(user: User) -> Snapshot:
    """Return a user's board, from one database snapshot."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        position = journal.end()
        counts = lane_counts(user)
        return Snapshot(
            position=str(position),
            at=database_now(),
            lanes={lane.value: _content(user, lane, counts[lane]) for lane in Lane},
            counted=_counted_after(position, user),
        )


def cards_of(user: User, order_ids: Iterable[int]) -> Cards:
    return Cards(_cards(user, visible_to(user).filter(pk__in=order_ids)))


@replica.may_be_late
def search(user: User, text: str) -> Cards:
    return Cards(_cards(user, found(visible_to(user), text).order_by("-pk")[:FOUND_AT_MOST]))


def newest(user: User) -> list[Card]:
    """Return the newest orders, for the page without JavaScript."""
    return _cards(user, visible_to(user).order_by("-pk")[:FOUND_AT_MOST])


def _cards(user: User, orders: Iterable[Order]) -> list[Card]:
    for_staff = sees_all_orders(user)
    return [card(order, for_staff=for_staff) for order in orders]


def card(order: Order, *, for_staff: bool = False) -> Card:
    """Return an order's card. Internal errors are for staff."""
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
        **{name: getattr(journey, name) for name in NAMES},
        waits_for=what_it_waits_for(journey),
        attention=needs_attention(journey),
        reason=reason_in_words(journey),
        why=in_words(journey.attention) if for_staff and needs_attention(journey) else "",
        placed_at=order.placed_at,
    )


def needs_attention(journey: Journey) -> bool:
    return bool(journey.attention) and journey.status in UNDER_WAY


def what_it_waits_for(journey: Journey) -> str:
    if journey.is_held:
        return "manual release"
    if needs_attention(journey) and journey.due_at is None:
        return "manual action"
    return waits_for(journey.waiting_for)


def legs_for_script() -> list[dict[str, Any]]:
    """Return the legs as the board's script needs them: states by code, and the state after each event."""
    return [
        {
            "name": leg.name,
            "states": {code: [state.light, state.words] for code, state in leg.states.items()},
            "events": {state.event: code for code, state in leg.states.items() if state.event},
            "at": {
                status_name(Status.CONFIRMED): leg.confirmed_as,
                status_name(Status.COMPLETED): leg.completed_as,
            },
        }
        for leg in LEGS
    ]


# --- Lanes ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaneCount:
    orders: int = 0
    is_estimate: bool = False


def lane_counts(user: User) -> dict[Lane, LaneCount]:
    by_status = _all_by_status() if sees_all_orders(user) else _own_by_status(user)
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
    SELECT e.order_id::text, max(e.sequence)
    FROM orders_orderevent e JOIN orders_order o ON o.id = e.order_id
    WHERE e.transaction_id >= %(from)s AND {visible} GROUP BY 1
"""
OF_OWNER, OF_ALL = "o.owner_id = %(owner)s", "o.owner_id IS DISTINCT FROM %(canaries)s"


def _counted_after(position: journal.Position, user: User) -> dict[str, int]:
    # Commits while an older transaction was open; the feed repeats them. Visible orders only: others reveal
    # the shop's volume.
    visible = OF_ALL if sees_all_orders(user) else OF_OWNER
    parameters = {"from": position.transaction_id, "owner": user.pk, "canaries": queries.canary_owner_id()}
    with connection.cursor() as cursor:
        cursor.execute(COUNTED.format(visible=visible), parameters)
        return dict(cursor.fetchall())
