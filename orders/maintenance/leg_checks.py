"""The audit's checks of legs, written from their declarations."""

from collections.abc import Iterable, Iterator

from orders.events import EventType
from orders.legs import LEGS, NAMES, PAYMENT
from orders.rules.leg_types import Leg, Mark, State

# Events of a newer release, seen during a deploy: we cannot judge them.
HAS_NEWER_EVENTS = """EXISTS (
            SELECT FROM orders_orderevent n WHERE n.order_id = j.order_id AND n.type <> ALL (%(known)s::text[]))"""

SHOWN = "concat_ws(', ', " + ", ".join(f"'{name} \"' || {name} || '\"'" for name in NAMES) + ")"


def ends() -> str:
    confirmed = _any(f"NOT {_is_in(leg, (leg.confirmed_as, *leg.also_confirmed_as))}" for leg in LEGS)
    completed = _any(f"NOT {_is_in(leg, (leg.completed_as, *leg.also_confirmed_as))}" for leg in LEGS)
    return f"""
        SELECT order_id::text, format('%s with %s', status, {SHOWN})
        FROM orders_journey WHERE
            (status = 'confirmed' AND ({confirmed}))
            OR (status = 'completed' AND ({completed}))
            OR (status IN ('cancelled', 'rejected') AND ({_any(_holds(leg) for leg in LEGS if leg.way_back)}))
    """  # noqa: S608 - built from declarations


def queues() -> str:
    """Return the check that only orders in process wait for a leg."""
    waits = _any(_is_in(leg, waiting) for leg in LEGS if (waiting := _states(leg, Mark.AWAY)))
    return f"""
        SELECT order_id::text, format('%s, and a leg waits: %s', status, {SHOWN}) FROM orders_journey
        WHERE status <> 'processing' AND ({waits})
    """  # noqa: S608 - built from declarations


def events() -> str:
    types = ", ".join(sorted({_quoted(state.event) for _, state in _with_events()} | {_quoted(_LATE)}))
    broken = _any([*_missing(), *_unexpected()])
    return f"""
        SELECT j.order_id::text, format('%%s with %%s; its journal has %%s', status, {SHOWN}, e.types)
        FROM orders_journey j
        LEFT JOIN (SELECT order_id, array_agg(DISTINCT type::text) AS types FROM orders_orderevent
                   WHERE type IN ({types}) GROUP BY 1) e ON e.order_id = j.order_id
        CROSS JOIN LATERAL (SELECT coalesce(e.types, '{{}}') AS noted) n
        WHERE ({broken}) AND NOT {HAS_NEWER_EVENTS}
    """  # noqa: S608 - built from declarations


# A payment that arrives late is its leg's only event then.
_LATE = EventType.PAYMENT_ARRIVED_LATE


def _missing() -> Iterator[str]:
    for leg, state in _with_events():
        unless_late = (
            f" AND {_quoted(_LATE)} <> ALL(noted)" if leg is PAYMENT and state.mark is Mark.DONE else ""
        )
        yield f"({leg.name} = {_quoted(state)} AND {_quoted(state.event)} <> ALL(noted){unless_late})"
    for leg in LEGS:
        for state in leg.states.values():
            for earlier in state.follows:
                yield f"({leg.name} = {_quoted(state)} AND {_quoted(earlier.event)} <> ALL(noted))"


def _unexpected() -> Iterator[str]:
    for leg in LEGS:
        for event in dict.fromkeys(state.event for state in leg.states.values() if state.event):
            if leg is not PAYMENT:
                yield f"({_quoted(event)} = ANY(noted) AND NOT {_is_in(leg, _reached_by(leg, event))})"
    # Whatever came of a payment, it is never open again.
    noted = [state.event for _, state in _with_events() if state.leg == PAYMENT.name]
    yield f"({PAYMENT.name} = '' AND noted && ARRAY[{', '.join(map(_quoted, noted))}])"


def _reached_by(leg: Leg, event: EventType) -> list[State]:
    here = [state for state in leg.states.values() if state.event == event]
    approved = {state.approved_as for state in here}
    later = [state for state in leg.states.values() if set(state.follows) & set(here) or state in approved]
    return list(dict.fromkeys(here + later))


def _holds(leg: Leg) -> str:
    held = [state for state in leg.states.values() if state.holds]
    before = "".join(
        f" AND {_is_in(other, [s for s in other.states.values() if s.good])}" for other in leg.after
    )
    return f"({_is_in(leg, held)}{before})"


def _with_events() -> Iterator[tuple[Leg, State]]:
    return ((leg, state) for leg in LEGS for state in leg.states.values() if state.event)


def _states(leg: Leg, mark: Mark) -> list[State]:
    return [state for state in leg.states.values() if state.mark is mark]


def _is_in(leg: Leg, states: Iterable[State]) -> str:
    return f"{leg.name} IN ({', '.join(map(_quoted, states))})"


def _any(conditions: Iterable[str]) -> str:
    return "\n            OR ".join(conditions)


def _quoted(code: object) -> str:
    return f"'{code}'"
