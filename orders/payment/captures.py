"""Captures by staff of what is authorized: each numbered in the ledger when it is accepted, sent by a step.

What is captured, and what is left, are sums over the ledger's rows. One capture of an order is under way at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from iso.currencies import format_amount, rounded
from orders.events import EventType
from orders.legs import PAYMENT
from orders.models import Order
from orders.status import Status
from orders.workflow import JourneyState
from payments import expiry, ledger
from payments.balance import Entry, next_number
from payments.calls import Prepared, Request
from payments.gateways.protocol import Outcome
from payments.ledger import Kind
from payments.models import Transaction, rank_of

State = ledger.State

CAPTURABLE = (Status.CONFIRMED, Status.COMPLETED)
# Begins the attention of an order whose authorization runs out.
EXPIRES = "Authorization expires: "


class AuthorizationExpired(Exception):
    """The provider holds the rest of an order's payment no more."""

    def __init__(self) -> None:
        super().__init__("The authorization has expired: what is left of it is not held any more.")


class CaptureUnderWay(Exception):
    """The outcome of an earlier capture of the order is not known yet."""

    def __init__(self) -> None:
        super().__init__("An earlier capture of this order is under way.")


@dataclass(frozen=True, slots=True)
class Authorized:
    """What may be captured of an order: sums over its transactions."""

    authorization: Entry
    captured: Decimal  # also what failed later: the provider holds it no more
    pending: Decimal
    released: Decimal  # voided, or expired

    @property
    def left(self) -> Decimal:
        left = self.authorization.amount - self.captured - self.pending - self.released
        return rounded(max(left, Decimal(0)), self.authorization.currency)


def standing_of(book: Sequence[Entry]) -> Authorized | None:
    """Return what may be captured; None without an authorization. Call it under the order's lock to decide by it."""
    held = next((e for e in book if e.kind == Kind.AUTHORIZE and e.state == State.SUCCEEDED), None)
    if held is None:
        return None
    captures = [entry for entry in book if entry.kind == Kind.CAPTURE]
    voids = [entry for entry in book if entry.kind == Kind.VOID]
    return Authorized(
        held,
        _sum(captures, State.SUCCEEDED),
        _sum(captures, State.UNKNOWN),
        released=_sum(voids, State.SUCCEEDED),
    )


def captured_amount(order: Order) -> Decimal:
    """Return what was captured of an order, also if it is refunded since."""
    held = standing_of(ledger.entries_of([order.pk]).get(order.pk, []))
    return held.captured if held else Decimal(0)


def charged_amount(order: Order) -> Decimal:
    """Return what was captured of an order that was, also if it is refunded since. An archived one was in full."""
    return captured_amount(order) or order.total_amount


def _sum(entries: Sequence[Entry], state: str) -> Decimal:
    return sum((entry.amount for entry in entries if entry.state == state), Decimal(0))


# --- What a capture means for an order, under its lock ---------------------------------------------------


def accept(
    journey: JourneyState, book: Sequence[Entry], *, amount: Decimal, reason: str, requested_by: int | None
) -> int:
    """Record a capture to be sent, and make the order due. Return its number, from 1."""
    held = standing_of(book)
    assert held is not None
    number = next_number(book, Kind.CAPTURE)
    ledger.prepare(
        Kind.CAPTURE, ledger.listed([_request(journey.order_id, held.authorization, amount, number)])
    )
    rank = rank_of(number)
    journey.payment = PAYMENT.MOVING
    journey.reschedule_in(0)
    journey.note(
        EventType.CAPTURE_REQUESTED, capture=rank, amount=str(amount), reason=reason, by=requested_by
    )
    return rank


def prepare(journeys: Sequence[JourneyState]) -> list[Prepared]:
    """Return the captures of locked orders that have no outcome yet, to be sent or looked up."""
    moving = [journey.order_id for journey in journeys if journey.payment is PAYMENT.MOVING]
    if not moving:
        return []
    requests = []
    for order_id, book in ledger.entries_of(moving).items():
        held = standing_of(book)
        unknown = (e for e in book if e.kind == Kind.CAPTURE and e.state == State.UNKNOWN)
        requests += [_request(order_id, held.authorization, e.amount, e.number) for e in unknown if held]
    return ledger.prepare(Kind.CAPTURE, ledger.listed(requests)) if requests else []


def _request(order_id: int, held: Entry, amount: Decimal, number: int) -> Request:
    return Request.on(held, order_id=order_id, amount=amount, number=number)


def note(journey: JourneyState, one: Prepared, outcome: Outcome) -> None:
    """Note a decided capture on its locked order."""
    _note(journey, one.number, one.request.amount, one.request.currency, outcome)


def note_late(journey: JourneyState, number: int, outcome: Outcome) -> None:
    """Note a capture that was decided while no step waited for it. The outcome is in the ledger."""
    book = ledger.entries_of([journey.order_id]).get(journey.order_id, [])
    for entry in book:
        if entry.number == number:
            _note(journey, number, entry.amount, entry.currency, outcome)


def _note(journey: JourneyState, number: int, amount: Decimal, currency: str, outcome: Outcome) -> None:
    facts = {"capture": rank_of(number), "amount": str(amount)}
    if outcome.kind == "succeeded":
        journey.wait = None
        journey.note(EventType.CAPTURE_SUCCEEDED, **facts)
    elif outcome.kind == "declined":
        journey.note(EventType.CAPTURE_FAILED, **facts, reason=outcome.code)
        why = f"Capture of {format_amount(amount, currency)} refused by the provider: {outcome.code}"
        journey.call_for_attention(f"{why} {outcome.message}".strip())
        if outcome.code == expiry.CODE:
            _release(journey, ledger.entries_of([journey.order_id])[journey.order_id])


def close(journeys: Sequence[JourneyState]) -> set[int]:
    """Move locked orders of which all is captured on from MOVING: from now on they are as any other that is paid.

    Return those of which the rest is held no more.
    """
    moving = {journey.order_id: journey for journey in journeys if journey.payment is PAYMENT.MOVING}
    books: Mapping[int, Sequence[Entry]] = ledger.entries_of(moving) if moving else {}
    expired = set()
    for order_id, journey in moving.items():
        held = standing_of(books.get(order_id, []))
        if held is not None and held.captured >= held.authorization.amount:
            journey.resolve(EXPIRES, why="captured")
            journey.enter(PAYMENT.CAPTURED)
            journey.payment = PAYMENT.REFUNDING
        elif held is not None and held.released:
            expired.add(order_id)
    return expired


# --- Authorizations that run out --------------------------------------------------------------------------


def warn(journey: JourneyState, book: Sequence[Transaction]) -> None:
    """Flag a locked order whose authorization expires soon."""
    held, until = standing_of(book), expiry.expires_at(book)
    if held is not None and until is not None:
        journey.call_for_attention(
            f"{EXPIRES}{_in_words(held)} is not captured, held until {until:%F %R} UTC"
        )


def expire(journey: JourneyState, book: Sequence[Transaction]) -> None:
    """Release the rest of a locked order whose authorization has expired."""
    if _release(journey, book):
        journey.payment = PAYMENT.EXPIRED


def _release(journey: JourneyState, book: Sequence[Transaction]) -> bool:
    held = standing_of(book)
    if held is None or held.pending or not held.left:
        return False
    expiry.record(held.left, book)
    journey.note(EventType.AUTHORIZATION_EXPIRED, amount=str(held.left))
    journey.call_for_attention(f"{EXPIRES}{_in_words(held)} was not captured, and is held no more")
    return True


def _in_words(held: Authorized) -> str:
    return format_amount(held.left, held.authorization.currency)
