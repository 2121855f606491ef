"""What an operator may do with an order, and what doing it would bring, told beforehand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from inventory.models import Reservation
from orders import commands
from orders.models import Order
from orders.workflow import UNDER_WAY, Leg, Status
from payments.models import Transaction

LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held for an order: units in the warehouse, money at the provider."""

    units: int
    transactions: Sequence[Transaction]

    def amount(self, kind: Transaction.Kind) -> Decimal | None:
        """Return the amount of the order's successful transaction of a kind."""
        found = (
            t.amount for t in self.transactions if t.kind == kind and t.state == Transaction.State.SUCCEEDED
        )
        return next(found, None)


@dataclass(frozen=True, slots=True)
class Preview:
    """What an operation would do to an order. Without effects it would do nothing, for the reason given."""

    order: Order
    effects: list[str]
    reason_for_nothing: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """A command as an operator sees it."""

    name: str
    label: str
    explanation: str
    run: Callable[[int, str], str]
    preview: Callable[[Order, Holding], list[str] | str]
    needs_reason: bool = False


def previews(operation: Operation, orders: Sequence[Order]) -> list[Preview]:
    """Return what the operation would do to each of the orders, whose journeys are loaded."""
    units, transactions = _units(orders), _transactions(orders)
    return [
        _preview(operation, order, Holding(units.get(order.pk, 0), transactions.get(order.pk, [])))
        for order in orders
    ]


def _preview(operation: Operation, order: Order, holding: Holding) -> Preview:
    outlook = operation.preview(order, holding)
    return Preview(order, [], outlook) if isinstance(outlook, str) else Preview(order, outlook)


def _units(orders: Sequence[Order]) -> dict[int, int]:
    held: dict[int, int] = {}
    for reservation in Reservation.objects.filter(order_id__in=[order.pk for order in orders]):
        held[reservation.order_id] = held.get(reservation.order_id, 0) + reservation.quantity
    return held


def _transactions(orders: Sequence[Order]) -> dict[int, list[Transaction]]:
    found: dict[int, list[Transaction]] = {}
    for transaction in Transaction.objects.filter(order_id__in=[order.pk for order in orders]):
        found.setdefault(transaction.order_id, []).append(transaction)
    return found


# --- The commands -----------------------------------------------------------------------------------------


def _process(order_id: int, _: str) -> str:
    return f"is {commands.process_order(order_id=order_id)}"


def _complete(order_id: int, _: str) -> str:
    done = commands.complete_order(order_id=order_id)
    return "is completed" if done else "will be completed as soon as it is confirmed"


def _retry(order_id: int, _: str) -> str:
    return f"is {commands.retry_order(order_id=order_id)} and will be looked at now"


def _cancel(order_id: int, reason: str) -> str:
    return f"is {commands.cancel_order(order_id=order_id, reason=reason)}"


def _refund(order_id: int, reason: str) -> str:
    return f"is {commands.cancel_order(order_id=order_id, reason=reason, returning=True)}"


# --- Their outlook ----------------------------------------------------------------------------------------


def _outlook_of_process(order: Order, _: Holding) -> list[str] | str:
    journey = order.journey
    if journey.status == Status.PENDING and journey.due_at is None:
        return ["Starts it: it was held until now."]
    return f"It is {journey.status} already."


def _outlook_of_complete(order: Order, holding: Holding) -> list[str] | str:
    status = order.journey.status
    if status == Status.CONFIRMED:
        return [f"Hands over {_count(holding.units)}: they count as sold."]
    if status in (Status.PENDING, Status.PROCESSING):
        return ["Completes it as soon as it is confirmed."]
    return f"It is {status}."


def _outlook_of_retry(order: Order, _: Holding) -> list[str] | str:
    journey = order.journey
    if journey.status not in UNDER_WAY or (journey.status == Status.PENDING and journey.due_at is None):
        return f"It is {journey.status} and waits for nothing that a retry would bring."
    effects = ["Looks at it now and goes on from where it stands."]
    return (
        [*effects, f"Takes it off the list of orders that need a person: {journey.attention}."]
        if (journey.attention)
        else effects
    )


def _outlook_of_cancel(order: Order, holding: Holding) -> list[str] | str:
    if order.journey.status == Status.COMPLETED:
        return "It is completed: its goods were handed over. Refund it when they came back."
    return _outlook_of_refund(order, holding)


def _outlook_of_refund(order: Order, holding: Holding) -> list[str] | str:
    journey = order.journey
    if journey.status in (Status.CANCELLING, Status.CANCELLED, Status.REJECTED):
        return f"It is {journey.status} already."
    return [_outlook_for_money(order, holding), _outlook_for_stock(order, holding)]


def _outlook_for_money(order: Order, holding: Holding) -> str:
    if any(t.state == Transaction.State.UNKNOWN for t in holding.transactions):
        return "Asks the payment provider what came of its last call, and has whatever it took given back."
    captured = holding.amount(Transaction.Kind.CAPTURE)
    if captured is not None:
        return f"Refunds {captured} {order.currency}."
    authorized = holding.amount(Transaction.Kind.AUTHORIZE)
    if authorized is not None:
        return f"Lets go of the {authorized} {order.currency} held on the card."
    return "No money was asked for."


def _outlook_for_stock(order: Order, holding: Holding) -> str:
    if order.journey.stock == Leg.SOLD:
        return f"Puts {_count(sum(line.quantity for line in order.lines.all()))} back on the shelf."
    return f"Releases {_count(holding.units)}." if holding.units else "No units are held."


def _count(units: int) -> str:
    return "1 unit" if units == 1 else f"{units} units"


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("process", "Process", "Starts orders that are held.", _process, _outlook_of_process),
        Operation(
            "retry",
            "Retry now",
            "Looks at orders that wait, or that were put before a person, at once.",
            _retry,
            _outlook_of_retry,
        ),
        Operation(
            "complete", "Complete", "Notes that the goods were handed over.", _complete, _outlook_of_complete
        ),
        Operation(
            "cancel",
            "Cancel",
            "Calls orders off. Stock and money go back.",
            _cancel,
            _outlook_of_cancel,
            needs_reason=True,
        ),
        Operation(
            "refund",
            "Refund",
            "Takes orders back, completed ones too: units go back on the shelf, money to the customer.",
            _refund,
            _outlook_of_refund,
            needs_reason=True,
        ),
    )
}
