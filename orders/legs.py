"""The legs of an order's journey, each declared once; everything else follows from these declarations.

From them follow the canvas, queues and tasks, the columns that the journal reads and writes, progress, what may be
tried, captured and reversed, waits and their breakers, lights and words of every page, enumerations of the API, the
audit's checks of legs, metrics and the simulation. `config.checks` refuses to boot when a part is missing. To add a
leg, see `docs/extending/leg.md`.
"""

from collections.abc import Iterable
from functools import cache
from operator import attrgetter
from typing import Any

from orders.events import EventType
from orders.rules.leg_types import Leg, Mark, State, Wait

# --- The legs ---------------------------------------------------------------------------------------------


class Stock(Leg):
    """Units of every line, all or none."""

    name, title, short_title, customers_title = "stock", "Stock", "Stock", "Items"
    queue, step, way_back = "inventory", "reserve_stock", "release_stock"

    UNITS_HELD = Wait(
        "stock_reserved_by_others",
        "units reserved by unpaid orders",
        retry_seconds=10.0,  # a fallback: `orders.waits.shortages` wakes orders
    )

    PENDING = State("", Mark.OPEN, "not reserved yet")
    SHORT = State("short", Mark.AWAY, "waiting for items reserved by unpaid orders", wait=UNITS_HELD)
    RESERVED = State(
        "reserved",
        Mark.DONE,
        "all items reserved",
        event=EventType.STOCK_RESERVED,
        customer_text="All items reserved.",
        weight=30,
        good=True,
        holds=True,
    )
    REFUSED = State(
        "refused",
        Mark.REFUSED,
        "not all items in stock",
        event=EventType.STOCK_REFUSED,
        customer_text="Not all items are in stock.",
    )
    RELEASED = State(
        "released",
        Mark.RELEASED,
        "released",
        event=EventType.STOCK_RELEASED,
        customer_text="Items released.",
        follows=(RESERVED,),
    )
    SOLD = State("sold", Mark.DONE, "fulfilled", holds=True, follows=(RESERVED,))
    confirmed_as, completed_as = RESERVED, SOLD


class Shipping(Leg):
    """The price of delivery, which makes the total final."""

    name, title, short_title, customers_title = "shipping", "Shipping", "Ship", "Delivery"
    queue, step = "shipping", "quote_shipping"

    PENDING = State("", Mark.OPEN, "not calculated yet")
    QUOTED = State(
        "quoted",
        Mark.DONE,
        "shipping calculated",
        event=EventType.SHIPPING_QUOTED,
        customer_text="Shipping cost calculated.",
        weight=15,
        good=True,
    )
    REFUSED = State(
        "refused",
        Mark.REFUSED,
        "no delivery to this address",
        event=EventType.SHIPPING_REFUSED,
        customer_text="We don't deliver to this address.",
    )
    confirmed_as = completed_as = QUOTED


STOCK, SHIPPING = Stock(), Shipping()


class Payment(Leg):
    """The total on the customer's card: authorized, and captured once all legs are good."""

    name, title, short_title, customers_title = "payment", "Payment", "Pay", "Payment"
    queue, step, way_back = "payments", "authorize_payment", "return_money"
    after = (SHIPPING,)
    provider = "payments"

    PROVIDER_AWAY = Wait("payment_provider", "the payment provider", retry_seconds=5.0)
    OUTCOME_UNKNOWN = Wait("payment_outcome", "the outcome of a payment", mark=Mark.UNANSWERED)
    # `orders.payment.decisions` schedules them; `retry_seconds` counts while another leg is under way.
    CUSTOMER = Wait(
        "payment_customer",
        "the customer to complete the payment",
        mark=Mark.UNANSWERED,
        retry_seconds=60.0,
        is_patient=True,
    )
    BANK = Wait(
        "payment_bank",
        "the bank to decide the payment",
        mark=Mark.UNANSWERED,
        retry_seconds=60.0,
        is_patient=True,
    )
    # Of an authorization, a capture, a refund.
    waits_in_any_state = (PROVIDER_AWAY, OUTCOME_UNKNOWN, CUSTOMER, BANK)

    # The provider may have money as soon as it could be called.
    PENDING = State("", Mark.OPEN, "not charged yet", holds=True)
    LATER = State("later", Mark.OPEN, "not charged yet; to be captured by staff", holds=True)
    AUTHORIZED = State(
        "authorized",
        Mark.DONE,
        "authorized",
        event=EventType.PAYMENT_AUTHORIZED,
        customer_text="Payment authorized.",
        weight=25,
        good=True,
        holds=True,
        light="held",
    )
    CAPTURED = State(
        "captured",
        Mark.DONE,
        "paid",
        event=EventType.PAYMENT_CAPTURED,
        customer_text="Payment received.",
        weight=40,
        good=True,
        holds=True,
    )
    # Staff capture it, in parts: see `orders.payment.captures`. Not for all of it yet.
    HELD = State(
        "held",
        Mark.DONE,
        "authorized; staff capture it",
        weight=40,
        good=True,
        holds=True,
        light="held",
        follows=(AUTHORIZED,),
    )
    MOVING = State(
        "moving",
        Mark.DONE,
        "authorized; a capture or refund is under way",
        weight=40,
        good=True,
        holds=True,
        light="held",
        follows=(AUTHORIZED,),
    )
    # What staff had not captured by then is held no more, perhaps all of it.
    EXPIRED = State(
        "expired",
        Mark.DONE,
        "authorization expired before all was captured",
        weight=40,
        good=True,
        holds=True,
        follows=(AUTHORIZED,),
    )
    # Parts of it are to be refunded: see `orders.refunding`.
    REFUNDING = State(
        "refunding",
        Mark.DONE,
        "paid; a refund is under way",
        weight=40,
        good=True,
        holds=True,
        follows=(CAPTURED,),
    )
    REFUSED = State(
        "refused",
        Mark.REFUSED,
        "declined",
        event=EventType.PAYMENT_DECLINED,
        customer_text="Payment declined.",
    )
    VOIDED = State(
        "voided",
        Mark.RELEASED,
        "authorization voided",
        event=EventType.MONEY_RETURNED,
        customer_text="Authorization voided.",
    )
    REFUNDED = State(
        "refunded",
        Mark.RELEASED,
        "refunded",
        event=EventType.MONEY_RETURNED,
        customer_text="Payment refunded.",
    )
    FREE = State(
        "free",
        Mark.DONE,
        "nothing to pay",
        event=EventType.PAYMENT_NOT_NEEDED,
        customer_text="Nothing to pay.",
        weight=40,
        good=True,
    )
    NOT_NEEDED = State("nothing", Mark.RELEASED, "nothing to refund")
    confirmed_as = completed_as = CAPTURED
    also_confirmed_as = (REFUNDING, FREE, HELD, MOVING, EXPIRED)


PAYMENT = Payment()

# In the order of display.
LEGS: tuple[Leg, ...] = (STOCK, SHIPPING, PAYMENT)

# --- What follows -----------------------------------------------------------------------------------------

NAMES = tuple(leg.name for leg in LEGS)
BY_NAME = {leg.name: leg for leg in LEGS}
OTHERS = {leg: tuple(other for other in LEGS if other is not leg) for leg in LEGS}
# Hot path: getters in C.
states_of = attrgetter(*NAMES)

# A step did not report back.
LOST_STEP = Wait("lost_step", "a step that did not report back", mark=Mark.OPEN)
WAITS = {str(wait): wait for wait in (*(wait for leg in LEGS for wait in leg.waits()), LOST_STEP)}
# Those that the column `waiting_for` alone records; the leg's come first, so that no other hides them.
WAITS_OF_NO_STATE = {
    str(wait): wait for wait in (*(w for leg in LEGS for w in leg.waits_in_any_state), LOST_STEP)
}

# States of the payment of an order that staff capture.
CAPTURED_BY_STAFF = (PAYMENT.HELD, PAYMENT.MOVING, PAYMENT.EXPIRED)


class _Weights(dict[tuple[State, ...], int]):
    """The percent of progress that states of all legs add up to."""

    def __missing__(self, states: tuple[State, ...]) -> int:
        self[states] = sum(state.weight for state in states)
        return self[states]


WEIGHT_OF = _Weights()


def read_states(journey: object) -> tuple[State, ...]:
    """Return the states in a row's columns, in the order of LEGS."""
    return tuple(leg.state(getattr(journey, leg.name)) for leg in LEGS)


def states_by_name(journey: object) -> dict[str, State]:
    """Return the states in a row's columns, by the name of their leg."""
    return dict(zip(NAMES, read_states(journey), strict=True))


def holding(states: Any) -> list[Leg]:
    """Return the legs to reverse, given an object with each leg's state."""
    return [
        leg
        for leg in LEGS
        if leg.way_back and getattr(states, leg.name).holds and are_good(leg.after, states)
    ]


def are_good(legs: Iterable[Leg], states: Any) -> bool:
    for leg in legs:  # noqa: SIM110 - hot path: a generator costs more
        if not getattr(states, leg.name).good:
            return False
    return True


def events_of_states(mark: Mark) -> set[str]:
    """Return the events with which legs come to states of a mark."""
    states = [state for leg in LEGS for state in leg.states.values()]
    return {str(state.event) for state in states if state.mark is mark and state.event}


@cache
def paths() -> list[list[Leg]]:
    """Return the chains of legs that run side by side, the longest first: it sets the latency."""
    last = [leg for leg in LEGS if not any(leg in other.after for other in LEGS)]
    return sorted((_up_to(leg) for leg in last), key=len, reverse=True)


def _up_to(leg: Leg) -> list[Leg]:
    return list(dict.fromkeys([*(each for before in leg.after for each in _up_to(before)), leg]))


def waits_for_provider(provider: str) -> list[str]:
    """Return the codes of waits that end when a provider is back."""
    waits = (wait for leg in LEGS if leg.provider == provider for wait in leg.waits())
    return [str(wait) for wait in waits if not wait.is_patient]


PROVIDERS = tuple(dict.fromkeys(leg.provider for leg in LEGS if leg.provider))
# For a decision that takes its time: they know no deadline of ours.
PATIENT_WAITS = tuple(code for code, wait in WAITS.items() if wait.is_patient)
# Leads to the provider of a leg or beyond, not to us.
WAITS_OUTSIDE = (*(code for provider in PROVIDERS for code in waits_for_provider(provider)), *PATIENT_WAITS)
QUEUES = tuple(dict.fromkeys(leg.queue for leg in LEGS))
# For a quick look whether any leg waits.
WAITING_STATES = frozenset(state for leg in LEGS for state in leg.states.values() if state.wait)
NAMES_THAT_WAIT = tuple(dict.fromkeys(state.leg for state in WAITING_STATES))
NEED_APPROVAL = tuple(state for leg in LEGS for state in leg.states.values() if state.approved_as)
