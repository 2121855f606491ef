"""Folds each order's events into the state that they lead to, as event sourcing does, and compares it with its row.

One pass over the journal: per aspect the last event that changes it wins, found as the maximum of its sequence,
with the new value's number in the lowest digits.
"""

from enum import StrEnum

from orders.workflow import STATUS_AFTER, EventType, Leg, Status

NAME = "Journal: an order's events, folded, are its row"

# What an event makes of an aspect of its order. Others leave it.
STOCK = {
    EventType.STOCK_RESERVED: Leg.RESERVED,
    EventType.STOCK_REFUSED: Leg.REFUSED,
    EventType.STOCK_RELEASED: Leg.RELEASED,
    EventType.COMPLETED: Leg.SOLD,
}
SHIPPING = {EventType.SHIPPING_QUOTED: Leg.QUOTED, EventType.SHIPPING_REFUSED: Leg.REFUSED}
PAYMENT = {
    EventType.PAYMENT_AUTHORIZED: Leg.AUTHORIZED,
    EventType.PAYMENT_DECLINED: Leg.REFUSED,
    EventType.PAYMENT_CAPTURED: Leg.CAPTURED,
}
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
ASPECTS = {
    "status": STATUS_AFTER,
    "stock": STOCK,
    "shipping": SHIPPING,
    "payment": PAYMENT,
    "attention": ATTENTION,
}
VALUES: list[str] = ["", *Status, *Leg, FLAGGED, CLEAR]
BASE = 64
# MONEY_RETURNED names what it makes of the payment.
RETURNS = (Leg.VOIDED, Leg.REFUNDED)

FOLD = """
    WITH folded AS (
        SELECT order_id, {columns},
               max((data->>'amount')::numeric) FILTER (WHERE type = 'shipping_quoted') AS shipping_amount
        FROM orders_orderevent GROUP BY order_id
    ), named AS (
        SELECT order_id, shipping_amount, {names} FROM folded
    )
    SELECT j.order_id::text, format(
        'is %s, stock "%s", shipping "%s" for %s, payment "%s", attention "%s"; its events make it {folds}',
        j.status, j.stock, j.shipping, j.shipping_amount, j.payment, j.attention, {folded})
    FROM orders_journey j JOIN named n USING (order_id)
    WHERE j.status <> n.status
       -- An order that queues for units has said so, and nothing came of it yet.
       OR (CASE j.stock WHEN 'short' THEN '' ELSE j.stock END) <> n.stock
       OR j.shipping <> n.shipping
       OR (j.shipping = 'quoted' AND j.shipping_amount IS DISTINCT FROM n.shipping_amount)
       -- While it is undone a late payment changes it silently; that there was nothing to return is no event.
       OR (j.status IN ('confirmed', 'completed', 'cancelled', 'rejected')
           AND (CASE j.payment WHEN 'refunding' THEN 'captured' ELSE j.payment END) <> n.payment
           AND NOT (j.payment = 'nothing' AND n.payment IN ('', 'authorized')))
       OR (j.attention <> '') <> (n.attention = 'flagged')
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
    return FOLD.format(columns=columns, names=names, folded=folded, folds=folds)


def _last(aspect: str) -> str:
    """Return the aggregate for an aspect's last change."""
    changes = dict[str, StrEnum | str](ASPECTS[aspect])
    cases = [f"WHEN '{event}' THEN {VALUES.index(value)}" for event, value in changes.items()]
    if aspect == "payment":
        returned = " ".join(f"WHEN '{how}' THEN {VALUES.index(how)}" for how in RETURNS)
        cases.append(f"WHEN '{EventType.MONEY_RETURNED}' THEN CASE data->>'how' {returned} END")
    return f"max(sequence * {BASE} + CASE type {' '.join(cases)} END)"
