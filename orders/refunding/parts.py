"""The command that refunds a part of an order. `commands.cancel_orders` refunds all that is left."""

from django.db import transaction

import faults
from inventory.models import StockItem
from inventory.stock import Wanted
from orders import wakeup
from orders.commands import NotPossible
from orders.legs import STOCK
from orders.models import Credit, Journey, Order
from orders.queries import OrderNotFound
from orders.refunding import crediting, refunds
from orders.refunding.amounts import Plan, Standing, Wish, plan
from orders.status import Status
from orders.workflow import JourneyState

REFUNDABLE = (Status.CONFIRMED, Status.COMPLETED)


def preview(order: Order, wish: Wish) -> tuple[Plan, Standing]:
    """Raises as `refund_part`."""
    check(Status(order.journey.status))
    standing = crediting.standing_of(order, list(order.credits.all()))
    return plan(wish, standing), standing


def refund_part(*, order_id: int, wish: Wish, requested_by: int | None = None) -> Credit:
    """Decide to refund a part; a step carries it out. Raises NotPossible or one of `amounts`' errors."""
    with transaction.atomic():
        journeys = Journey.objects.lock([order_id])
        if not journeys:
            raise OrderNotFound(order_id)
        (journey,) = journeys
        check(journey.status)
        order, granted = _read(order_id)
        decided = plan(wish, crediting.standing_of(order, granted))
        number = len(granted) + 1
        credit = crediting.grant(order_id, decided, wish, number=number, requested_by=requested_by)
        if wish.restock:
            _restock(journey, decided)
        refunds.requested(journey, credit=number, amount=decided.amount, reason=wish.reason)
        Journey.objects.save_all([journey])
        wakeup.wake_dispatcher()
        faults.point("command.before_commit")
    return credit


def _read(order_id: int) -> tuple[Order, list[Credit]]:
    order = Order.objects.select_related("journey").get(pk=order_id)
    return order, crediting.of_orders([order_id]).get(order_id, [])


def check(status: Status) -> None:
    """Raise NotPossible for an order whose parts cannot be refunded."""
    if status not in REFUNDABLE:
        raise NotPossible(action="refunded in part", status=status)


def _restock(journey: JourneyState, decided: Plan) -> None:
    lines = [
        Wanted(journey.order_id, product_id, units) for product_id, units in sorted(decided.units.items())
    ]
    if journey.stock is STOCK.SOLD:
        StockItem.objects.take_back(lines=lines)
    else:
        StockItem.objects.release_units(lines=lines)
