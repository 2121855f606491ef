"""Credits: what the shop decided to refund of an order, and how refunds carry it out."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal

from inventory.stock import Wanted
from iso.currencies import rounded
from orders.models import Credit, Order
from orders.payment import answers, captures
from orders.refunding import refunds
from orders.refunding.amounts import Item, Plan, Standing, Wish
from orders.rules.adjustments import SHIPPING, of_line, total_of, worth_of_lines
from orders.workflow import JourneyState
from payments import ledger, returns
from payments.balance import Entry, balance, capture_to_refund, left_of, next_number, standing
from payments.calls import FIRST, Kind, Prepared, Request, State
from payments.gateways.protocol import UNDECIDED, Outcome

OPEN = (Credit.State.REQUESTED, Credit.State.FAILED)


# --- Reading ----------------------------------------------------------------------------------------------


def of_orders(order_ids: Iterable[int]) -> dict[int, list[Credit]]:
    found: dict[int, list[Credit]] = {}
    for credit in Credit.objects.filter(order_id__in=list(order_ids)).order_by("order_id", "number"):
        found.setdefault(credit.order_id, []).append(credit)
    return found


def standing_of(order: Order, granted: Sequence[Credit]) -> Standing:
    """Return what is left to refund. Call it under the order's lock to decide by it."""
    counted = [credit for credit in granted if credit.state != Credit.State.SUPERSEDED]
    captured = balance(ledger.entries_of([order.pk]).get(order.pk, [])).captured
    adjustments, lines = order.adjustment_list, list(order.lines.all())
    shipping = (order.journey.shipping_amount or Decimal(0)) + total_of(of_line(adjustments, None), SHIPPING)
    worths = worth_of_lines([line.amount for line in lines], adjustments, currency=order.currency)
    items = [
        Item(
            line.product_id,
            line.sku,
            line.quantity,
            worth,
            credited=sum(credit.units_by_line.get((line.product_id, line.number), 0) for credit in counted),
            number=line.number,
        )
        for line, worth in zip(lines, worths, strict=True)
    ]
    left = captured - _sum(credit.amount for credit in counted)
    shipping_left = shipping - _sum(credit.shipping_amount for credit in counted)
    currency = order.currency
    return Standing(currency, items, rounded(shipping_left, currency), rounded(left, currency))


def units_not_restocked(order_ids: Sequence[int], wanted: Sequence[Wanted]) -> list[Wanted]:
    if not order_ids:
        return list(wanted)
    left: dict[tuple[int, int], int] = {}
    for order_id, product_id, quantity in wanted:  # an order may have several lines of a product
        left[order_id, product_id] = left.get((order_id, product_id), 0) + quantity
    for granted in of_orders(order_ids).values():
        for credit in granted:
            for product_id, units in credit.units.items() if credit.restock else ():
                if (credit.order_id, product_id) in left:
                    left[credit.order_id, product_id] -= units
    return [Wanted(*place, quantity) for place, quantity in left.items() if quantity]


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


# --- Writing ----------------------------------------------------------------------------------------------


def grant(order_id: int, plan: Plan, wish: Wish, *, number: int, requested_by: int | None) -> Credit:
    return Credit.objects.create(
        order_id=order_id,
        number=number,
        amount=plan.amount,
        # The number of a product's first line is left out: processes of the release before know none.
        lines=[
            [p, units, str(amount), *([number] if number else [])] for p, units, amount, number in plan.lines
        ],
        shipping_amount=plan.shipping_amount,
        reason=wish.reason,
        restock=wish.restock,
        requested_by=requested_by,
    )


def set_state(order_id: int, number: int, state: Credit.State) -> None:
    """Store the outcome of a credit. Call it under the order's lock."""
    Credit.objects.filter(order_id=order_id, number=number).update(state=state)


# --- Carrying out -----------------------------------------------------------------------------------------


def prepare(journeys: Sequence[JourneyState]) -> list[Prepared]:
    """Record the next refund of each locked order that owes one."""
    order_ids = [journey.order_id for journey in journeys]
    granted, books = of_orders(order_ids), ledger.entries_of(order_ids)
    requests = []
    for journey in journeys:
        credit = _next(granted.get(journey.order_id, []), with_failed=not journey.attention)
        if credit is not None:
            requests.append(_request(credit, books[journey.order_id]))
    return ledger.prepare(Kind.REFUND, ledger.listed(requests)) if requests else []


def _next(granted: Sequence[Credit], *, with_failed: bool) -> Credit | None:
    states = OPEN if with_failed else OPEN[:1]
    return next((credit for state in states for credit in granted if credit.state == state), None)


def _request(credit: Credit, book: Sequence[Entry]) -> Request:
    """Return the refund to send for a credit: of one capture, so that a larger credit takes several, one by one."""
    attempts = [entry for entry in book if entry.kind == Kind.REFUND and entry.credit == credit.number]
    last = attempts[-1] if attempts else None
    is_over = last is not None and last.state != State.UNKNOWN and credit.state == Credit.State.FAILED
    if is_over:
        set_state(credit.order_id, credit.number, Credit.State.REQUESTED)
    done = _refunded(credit, book)
    if last is None or is_over or (last.state == State.SUCCEEDED and done < credit.amount):
        capture = capture_to_refund(book)
        number, amount = next_number(book, Kind.REFUND), min(credit.amount - done, left_of(capture, book))
    else:
        capture = next(e for e in book if e.number == (last.parent or FIRST[Kind.CAPTURE]))
        number, amount = last.number, last.amount
    return Request.on(
        capture,
        order_id=credit.order_id,
        amount=amount,
        number=number,
        attempt=1 if last is None else last.attempt + is_over,
        credit=credit.number,
    )


def _refunded(credit: Credit, book: Sequence[Entry]) -> Decimal:
    return _sum(entry.amount for entry in standing(book, Kind.REFUND) if entry.credit == credit.number)


def settle(
    journeys: Sequence[JourneyState],
    prepared: Sequence[Prepared],
    outcomes: Mapping[int, Outcome],
    *,
    recorded: Collection[int],
) -> None:
    """Note on locked orders the outcomes of their captures and refunds, and go on with the next credit or rest.

    The outcomes are in the ledger; `recorded` are the orders for which they were new.
    """
    called = {one.request.order_id: one for one in prepared}
    for journey in journeys:
        one = called.get(journey.order_id)
        if one is not None and one.kind is Kind.CAPTURE and journey.order_id in recorded:
            captures.note(journey, one, outcomes[journey.order_id])
    expired = captures.close(journeys)
    granted = of_orders(journey.order_id for journey in journeys)
    for journey in journeys:
        one, credits_ = called.get(journey.order_id), granted.get(journey.order_id, [])
        outcome = outcomes.get(journey.order_id)
        if one is None:
            _go_on(journey, _open(credits_), expired)
        elif outcome is None or outcome.kind not in ("succeeded", "declined"):
            _wait(journey, outcome)
        elif one.kind is Kind.CAPTURE:
            _go_on(journey, _open(credits_), expired)
        else:
            credit = next(credit for credit in credits_ if credit.number == one.request.credit)
            states = _open(credits_) | {credit.number: _note(journey, credit, one, outcome)}
            _go_on(journey, states, expired)


def _open(granted: Sequence[Credit]) -> dict[int, str]:
    return {credit.number: credit.state for credit in granted if credit.state in OPEN}


def _note(journey: JourneyState, credit: Credit, one: Prepared, outcome: Outcome) -> str:
    """Note a decided refund; return the state of its credit, of which further captures may have to refund a part."""
    amount = one.request.amount
    if outcome.kind == "declined":
        set_state(journey.order_id, credit.number, Credit.State.FAILED)
        refunds.failed(journey, credit=credit.number, amount=amount, code=outcome.code)
        journey.escalate(returns.in_words(one, outcome))
        return Credit.State.FAILED
    if amount < credit.amount and _is_owed(credit):
        journey.wait = None
        return Credit.State.REQUESTED
    set_state(journey.order_id, credit.number, Credit.State.REFUNDED)
    refunds.succeeded(journey, credit=credit.number, amount=credit.amount)
    return Credit.State.REFUNDED


def _is_owed(credit: Credit) -> bool:
    return _refunded(credit, ledger.entries_of([credit.order_id])[credit.order_id]) < credit.amount


def _go_on(journey: JourneyState, states: Mapping[int, str], expired: Collection[int]) -> None:
    has_failed = Credit.State.FAILED in states.values()
    # A retry clears the attention: all that failed is tried again.
    more = Credit.State.REQUESTED in states.values() or (has_failed and not journey.attention)
    is_expired = journey.order_id in expired
    refunds.all_tried(journey, more=more, has_failed=has_failed, is_expired=is_expired)


def _wait(journey: JourneyState, outcome: Outcome | None) -> None:
    answers.defer(journey, outcome)
    if outcome is not None and outcome.code in answers.SCHEDULED:
        journey.reschedule_in(0)
    elif outcome is None or outcome.kind not in UNDECIDED:
        journey.back_off()


def supersede(journeys: Iterable[JourneyState]) -> None:
    """Close the open credits of locked orders whose whole payment was reversed."""
    closed = {journey.order_id: journey for journey in journeys}
    books = ledger.entries_of(closed)
    for order_id, granted in of_orders(closed).items():
        for credit in granted:
            if credit.state in OPEN:
                _close(closed[order_id], credit, books.get(order_id, []))


def _close(journey: JourneyState, credit: Credit, book: Sequence[Entry]) -> None:
    if _refunded(credit, book) >= credit.amount:
        set_state(credit.order_id, credit.number, Credit.State.REFUNDED)
    else:
        set_state(credit.order_id, credit.number, Credit.State.SUPERSEDED)
        refunds.superseded(journey, credit=credit.number, amount=credit.amount)
