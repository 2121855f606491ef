"""Folds each order's events into the state that they lead to, as event sourcing does, and compares it with its row.

One pass over the journal: per aspect the last event that changes it wins, found as the maximum of its sequence,
with the new value's number in the lowest digits.
"""

from collections.abc import Mapping

from orders.events import STATUS_AFTER, EventType
from orders.legs import LEGS, PAYMENT
from orders.rules.leg_types import Leg
from orders.status import Status

NAME = "Journal: an order's events, folded, are its row"


def _changes(leg: Leg) -> dict[EventType, str]:
    """Return what an event makes of a leg, for events of one state; others leave it."""
    events = [state.event for state in leg.states.values()]
    changes = {
        state.event: state.code
        for state in leg.states.values()
        if state.event and events.count(state.event) == 1
    }
    sold = {} if leg.completed_as.event else {EventType.COMPLETED: leg.completed_as.code}
    return changes | sold


def _named(leg: Leg) -> dict[EventType, list[str]]:
    """Return the events that lead to one of several states, which they name."""
    found: dict[EventType, list[str]] = {}
    for state in leg.states.values():
        if state.event and state.event not in _changes(leg):
            found.setdefault(state.event, []).append(state.code)
    return found


FLAGGED, CLEAR = "flagged", "clear"
ATTENTION = {EventType.ATTENTION_NEEDED: FLAGGED} | dict.fromkeys(
    (
        EventType.RETRIED,
        EventType.CONFIRMED,
        EventType.COMPLETED,
        EventType.CANCELLED,
        EventType.REJECTED,
    ),
    CLEAR,
)
ASPECTS: Mapping[str, Mapping[EventType, str]] = {
    "status": STATUS_AFTER,
    **{leg.name: _changes(leg) for leg in LEGS},
    "attention": ATTENTION,
}
NAMED = {leg.name: _named(leg) for leg in LEGS}
CODES = dict.fromkeys(code for leg in LEGS for code in leg.states if code)
VALUES = ["", *(status.value for status in Status), *CODES, FLAGGED, CLEAR]
BASE = 64

FOLD = """
    WITH folded AS (
        SELECT order_id, {columns},
               max((data->>'amount')::numeric) FILTER (WHERE type = 'shipping_quoted') AS shipping_amount,
               bool_or(type NOT IN ({known})) AS has_newer_events
        FROM orders_orderevent GROUP BY order_id
    ), named AS (
        SELECT order_id, shipping_amount, has_newer_events, {names} FROM folded
    )
    SELECT j.order_id::text, format('is {folds}, shipping for %s; its events make it {folds}',
        {row}, j.shipping_amount, {folded})
    FROM orders_journey j JOIN named n USING (order_id)
    -- A newer release wrote events that we cannot judge.
    WHERE NOT n.has_newer_events AND (j.status <> n.status
       {legs}
       OR (j.shipping = 'quoted' AND j.shipping_amount IS DISTINCT FROM n.shipping_amount)
       OR (j.attention <> '') <> (n.attention = 'flagged'))
"""


def statement() -> str:
    """Return the check: the orders whose row differs from their events."""
    columns = ", ".join(f"{_last(aspect)} AS {aspect}" for aspect in ASPECTS)
    values = ", ".join(f"'{value}'" for value in VALUES)
    names = ", ".join(
        f"(ARRAY[{values}]::text[])[1 + coalesce({aspect} % {BASE}, 0)] AS {aspect}" for aspect in ASPECTS
    )
    folded = ", ".join(f"n.{aspect}" for aspect in ASPECTS)
    folds = ", ".join(f'{aspect} "%s"' for aspect in ASPECTS)
    row = ", ".join(f"j.{aspect}" for aspect in ASPECTS)
    known = ", ".join(f"'{event}'" for event in EventType)
    legs = "\n       ".join(f"OR {_differs(leg)}" for leg in LEGS)
    return FOLD.format(
        columns=columns, names=names, folded=folded, folds=folds, row=row, known=known, legs=legs
    )


def _differs(leg: Leg) -> str:
    if leg is PAYMENT:
        # While it is undone a late payment changes it silently; that there was nothing to return is no event.
        at_rest = "j.status IN ('confirmed', 'completed', 'cancelled', 'rejected')"
        nothing = f"j.payment = '{PAYMENT.NOT_NEEDED}' AND n.payment IN ('', '{PAYMENT.AUTHORIZED}')"
        # What comes of refunds of parts is in the credits, of captures by staff in the ledger.
        known_as = {
            PAYMENT.REFUNDING: PAYMENT.CAPTURED,
            PAYMENT.HELD: PAYMENT.AUTHORIZED,
            PAYMENT.MOVING: PAYMENT.AUTHORIZED,
            PAYMENT.EXPIRED: PAYMENT.AUTHORIZED,
            PAYMENT.LATER: PAYMENT.PENDING,
        }
        cases = " ".join(f"WHEN '{state}' THEN '{known}'" for state, known in known_as.items())
        payment = f"CASE j.payment {cases} ELSE j.payment END"
        return f"({at_rest} AND {payment} <> n.payment AND NOT ({nothing}))"
    # An order that waits for the leg has said so, and nothing came of it yet.
    waiting = ", ".join(f"'{code}'" for code, state in leg.states.items() if state.wait) or "''"
    return f"(CASE WHEN j.{leg.name} IN ({waiting}) THEN '' ELSE j.{leg.name} END) <> n.{leg.name}"


def _last(aspect: str) -> str:
    """Return the aggregate for an aspect's last change."""
    cases = [f"WHEN '{event}' THEN {VALUES.index(value)}" for event, value in ASPECTS[aspect].items()]
    for event, codes in NAMED.get(aspect, {}).items():
        named = " ".join(f"WHEN '{code}' THEN {VALUES.index(code)}" for code in codes)
        cases.append(f"WHEN '{event}' THEN CASE data->>'how' {named} END")
    return f"max(sequence * {BASE} + CASE type {' '.join(cases)} END)"
