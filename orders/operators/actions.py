"""Operators' actions on orders: preview, execution, audit log."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet

from inventory.models import Reservation
from inventory.stock import Wanted
from iso.currencies import format_amount
from orders import commands
from orders.legs import NEED_APPROVAL, STOCK, read_states
from orders.models import Order
from orders.payment.captures import standing_of
from orders.refunding import crediting
from orders.reporting.wording import attention as in_words
from orders.status import Status
from payments.balance import balance
from payments.models import Transaction

LONGEST_REASON = 200
UNITS = "units"


@dataclass(frozen=True, slots=True)
class Holding:
    """Units and payments held for an order."""

    units: int
    transactions: Sequence[Transaction]


@dataclass(frozen=True, slots=True)
class Effect:
    text: str
    verb: str = ""
    amount: Decimal = Decimal(0)
    unit: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Preview:
    """The effects of an operation on an order, or why it has none."""

    order: Order
    effects: list[Effect]
    reason_for_nothing: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """A command as operators see it."""

    name: str
    label: str
    explanation: str
    run: Callable[[Sequence[int], str], commands.Outcomes]
    wording: Callable[[Status], str]
    preview: Callable[[Order, Holding], list[Effect] | str]
    needs_reason: bool = False


def previews(operation: Operation, orders: Sequence[Order]) -> list[Preview]:
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


def totals(outlook: Iterable[Preview]) -> list[str]:
    """Total the effects: money by currency, units, the rest by text."""
    orders: Counter[tuple[str, str]] = Counter()
    amounts: dict[tuple[str, str], Decimal] = {}
    for effect in (effect for preview in outlook for effect in preview.effects):
        what = (effect.verb or effect.text, effect.unit)
        orders[what] += 1
        amounts[what] = amounts.get(what, Decimal(0)) + effect.amount
    return [_total(*what, amounts[what], orders[what]) for what in orders]


def _total(verb: str, unit: str, amount: Decimal, orders: int) -> str:
    of_orders = "1 order" if orders == 1 else f"{orders:,} orders"
    if not unit:
        return f"{verb.removesuffix('.')}: {of_orders}"
    quantity = _count(int(amount)) if unit == UNITS else format_amount(amount, unit)
    return f"{verb.format(quantity).removesuffix('.')}: {of_orders}"


# --- Execution ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OperationResult:
    text: str
    is_done: bool = True

    def of(self, order: Order) -> str:
        return f"{order.number} {self.text}." if self.is_done else f"{order.number}: {self.text}"

    def of_many(self, orders: int) -> str:
        return f"{orders:,} orders: each {self.text}." if self.is_done else f"{orders:,} orders: {self.text}"


def operate(
    operation: Operation, order_ids: Sequence[int], *, user_id: int, reason: str = ""
) -> dict[int, OperationResult]:
    outcomes = operation.run(order_ids, reason)
    results = {
        id_: OperationResult(operation.wording(now))
        if isinstance(now, Status)
        else OperationResult(str(now), is_done=False)
        for id_, now in outcomes.items()
    }
    _note(operation, results, user_id, reason)
    return {id_: results.get(id_, GONE) for id_ in order_ids}


GONE = OperationResult("Order not found.", is_done=False)


def _note(operation: Operation, results: dict[int, OperationResult], user_id: int, reason: str) -> None:
    for outcome in sorted({each.text for each in results.values() if each.is_done}):
        orders = Order.objects.filter(pk__in=[id_ for id_, each in results.items() if each.text == outcome])
        log(orders, str(operation.label), outcome, reason=reason, user_id=user_id)


def log(orders: QuerySet[Order], what: str, outcome: str, *, reason: str, user_id: int) -> None:
    """Write what was done, and why, into the audit log of each order."""
    because = f" ({reason})" if reason else ""
    LogEntry.objects.log_actions(user_id, orders, CHANGE, change_message=f"{what}{because}: {outcome}.")


def note(name: str, order: Order, *, user_id: int) -> None:
    """Log an operation already run. Expects the journey's new state."""
    operation = OPERATIONS[name]
    result = OperationResult(operation.wording(Status(order.journey.status)))
    _note(operation, {order.pk: result}, user_id, order.journey.reason if operation.needs_reason else "")


# --- Previews -------------------------------------------------------------------------------------------


def _outlook_of_process(order: Order, _: Holding) -> list[Effect] | str:
    journey = order.journey
    if journey.is_held:
        return [Effect("Releases it from hold.")]
    return f"It is already {journey.status}."


def _outlook_of_complete(order: Order, holding: Holding) -> list[Effect] | str:
    status = order.journey.status
    if status == Status.CONFIRMED:
        return [_units_move("Marks {} as sold.", holding.units)]
    if status in (Status.PENDING, Status.PROCESSING):
        return [Effect("Completes it as soon as it is confirmed.")]
    return f"It is {status}."


def _outlook_of_retry(order: Order, _: Holding) -> list[Effect] | str:
    journey = order.journey
    if not journey.may_be_retried:
        return f"It is {journey.status}, and there is nothing to retry."
    effects = [] if journey.has_ended else [Effect("Retries it now, from where it stopped.")]
    if journey.attention:
        text = f"Clears “needs attention”: {in_words(journey.attention).rstrip('. ')}."
        effects.append(Effect(text, "Clears “needs attention”"))
    return effects


def _outlook_of_approve(order: Order, _: Holding) -> list[Effect] | str:
    undecided = [state for state in read_states(order.journey) if state.approved_as]
    if order.journey.status != Status.PROCESSING or not undecided:
        return f"It is {order.journey.status}, and no leg of it needs approval."
    return [Effect(f"Approves “{state.words}”; the order continues.") for state in undecided]


def _outlook_of_cancel(order: Order, holding: Holding) -> list[Effect] | str:
    if order.journey.status == Status.COMPLETED:
        return "It is completed. Refund it when the goods are returned."
    return _outlook_of_refund(order, holding)


def _outlook_of_refund(order: Order, holding: Holding) -> list[Effect] | str:
    journey = order.journey
    if journey.status in (Status.CANCELLING, Status.CANCELLED, Status.REJECTED):
        return f"It is already {journey.status}."
    return [*_outlook_for_money(order, holding), _outlook_for_stock(order, holding)]


def _outlook_for_money(order: Order, holding: Holding) -> list[Effect]:
    if any(t.state == Transaction.State.UNKNOWN for t in holding.transactions):
        return [Effect("Looks up the outcome of the last payment call, and refunds anything it captured.")]
    sums, held = balance(holding.transactions), standing_of(holding.transactions)
    effects = []
    if sums.captured:
        effects.append(_money_moves("Refunds {}.", sums.left, order.currency))
    if held is not None and held.left:
        effects.append(_money_moves("Voids the {} authorization.", held.left, order.currency))
    return effects or [Effect("No payment to reverse.")]


def _outlook_for_stock(order: Order, holding: Holding) -> Effect:
    if order.journey.stock == STOCK.SOLD:
        sold = [Wanted(order.pk, line.product_id, line.quantity) for line in order.lines.all()]
        units = sum(line.quantity for line in crediting.units_not_restocked([order.pk], sold))
        return _units_move("Returns {} to stock.", units)
    return _units_move("Releases {}.", holding.units) if holding.units else Effect("No units to release.")


def _money_moves(verb: str, amount: Decimal, currency: str) -> Effect:
    return Effect(verb.format(format_amount(amount, currency)), verb, amount, currency)


def _units_move(verb: str, units: int) -> Effect:
    return Effect(verb.format(_count(units)), verb, Decimal(units), UNITS)


def _count(units: int) -> str:
    return "1 unit" if units == 1 else f"{units} units"


# --- Registry -------------------------------------------------------------------------------------------


def _completion_text(now: Status) -> str:
    return "is completed" if now is Status.COMPLETED else "will be completed as soon as it is confirmed"


def _refund(order_ids: Sequence[int], reason: str) -> commands.Outcomes:
    return commands.cancel_orders(order_ids=order_ids, reason=reason, returning=True)


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(
            "process",
            "Process",
            "Releases orders from hold.",
            run=lambda ids, _: commands.process_orders(order_ids=ids),
            wording="is {}".format,
            preview=_outlook_of_process,
        ),
        Operation(
            "retry",
            "Retry",
            "Retries waiting or stopped orders now, without waiting for the next automatic retry.",
            run=lambda ids, _: commands.retry_orders(order_ids=ids),
            wording="is {} and will be retried now".format,
            preview=_outlook_of_retry,
        ),
        Operation(
            "complete",
            "Complete",
            "Marks orders as completed: the goods have shipped.",
            run=lambda ids, _: commands.complete_orders(order_ids=ids),
            wording=_completion_text,
            preview=_outlook_of_complete,
        ),
        Operation(
            "cancel",
            "Cancel",
            "Cancels the orders, releases stock and refunds payments.",
            run=lambda ids, reason: commands.cancel_orders(order_ids=ids, reason=reason),
            wording="is {}".format,
            preview=_outlook_of_cancel,
            needs_reason=True,
        ),
        Operation(
            "refund",
            "Refund",
            "Refunds orders, including completed ones, and returns their units to stock.",
            run=_refund,
            wording="is {}".format,
            preview=_outlook_of_refund,
            needs_reason=True,
        ),
    )
}
if NEED_APPROVAL:
    OPERATIONS["approve"] = Operation(
        "approve",
        "Approve",
        "Lets orders pass on which staff decide.",
        run=lambda ids, _: commands.approve_orders(order_ids=ids),
        wording="is {} and continues".format,
        preview=_outlook_of_approve,
    )
