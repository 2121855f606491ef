"""Bulk placement: a chunk of independent orders in one transaction of a few set-wise statements."""

import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection, transaction

from api.models import KeyReused
from database.arrays import Column, document, rows, texts, words
from orders import log_context, wakeup
from orders.models import NEW_UUID, CurrentTransaction, order_numbers
from orders.placing.pricing import REFUSALS, Catalogue, NewOrder, PlacedLine, price_lines


class Entry(msgspec.Struct, frozen=True):
    """An order of a chunk, with its idempotency key."""

    new: NewOrder
    key: str = ""
    fingerprint: bytes = b""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """A stored order; `replayed` if by an earlier request."""

    order_id: int
    number: str
    replayed: bool = False


Outcome = Accepted | Exception


class _Priced(msgspec.Struct, frozen=True):
    entry: Entry
    lines: list[PlacedLine]
    amount: Decimal


def place_orders(*, entries: Sequence[Entry], owner_id: int) -> list[Outcome]:
    """Store a chunk, best of about a thousand. Return the outcomes in order. Raises OperationalError."""
    outcomes: dict[int, Outcome] = {}
    waiting = list(range(len(entries)))
    while waiting:
        outcomes |= _round({index: entries[index] for index in waiting}, owner_id)
        # Left: keys stored concurrently, or refused at first.
        waiting = [index for index in waiting if index not in outcomes]
    return [outcomes[index] for index in range(len(entries))]


def _round(entries: dict[int, Entry], owner_id: int) -> dict[int, Outcome]:
    """Decide at least the first entry of each key."""
    first = {entry.key: index for index, entry in reversed(entries.items()) if entry.key}
    with transaction.atomic():
        outcomes, candidates = _price(
            {index: entry for index, entry in entries.items() if first.get(entry.key, index) == index},
            _stored(owner_id, list(first)),
        )
        outcomes |= _store(candidates, owner_id)
    for index, entry in entries.items():
        if index not in outcomes and (original := outcomes.get(first[entry.key])) is not None:
            outcome = _repeat_outcome(original, entry, entries[first[entry.key]])
            if outcome is not None:
                outcomes[index] = outcome
    return outcomes


def _repeat_outcome(original: Outcome, entry: Entry, first: Entry) -> Outcome | None:
    """Return a repeat's outcome; None if it has to be tried itself."""
    if entry.fingerprint == first.fingerprint:
        return (
            Accepted(original.order_id, original.number, replayed=True)
            if isinstance(original, Accepted)
            else original
        )
    return KeyReused() if isinstance(original, Accepted) else None


def _price(
    entries: dict[int, Entry], stored: dict[str, tuple[bytes, Accepted]]
) -> tuple[dict[int, Outcome], dict[int, _Priced]]:
    """Return outcomes of repeats and refusals, and the priced others."""
    outcomes: dict[int, Outcome] = {}
    candidates: dict[int, _Priced] = {}
    catalogue = Catalogue(
        line for entry in entries.values() if entry.key not in stored for line in entry.new.lines
    )
    for index, entry in entries.items():
        if entry.key in stored:
            fingerprint, answer = stored[entry.key]
            outcomes[index] = answer if fingerprint == entry.fingerprint else KeyReused()
            continue
        try:
            candidates[index] = _Priced(entry, *price_lines(entry.new, catalogue))
        except REFUSALS as refusal:
            outcomes[index] = refusal
    return outcomes, candidates


# --- Storing ----------------------------------------------------------------------------------------------

TAKE_IDS = "SELECT now(), array_agg(nextval('orders_order_id_seq')) FROM generate_series(1, %s)"

STORE = """
    WITH wanted AS MATERIALIZED (
        SELECT * FROM {orders} AS o
    ), orders AS (
        INSERT INTO orders_order (id, uuid, owner_id, customer_id, customer_name, email, currency, goods_amount,
                                  weight_grams, shipping_address, country, payment_token, placed_at)
        SELECT id, {new_uuid}, %s, customer_id, customer_name, email, currency, goods_amount,
               weight_grams, shipping_address, country, payment_token, now() FROM wanted
    ), lines AS (
        INSERT INTO orders_orderline (order_id, product_id, sku, product_name, quantity, unit_price)
        SELECT line.order_id, p.id, p.sku, p.name, line.quantity, line.unit_price
        FROM {lines} AS line JOIN inventory_product p ON p.id = line.product_id
    ), journeys AS (
        INSERT INTO orders_journey (order_id, status, sequence, due_at, attempts, stock, shipping, payment,
                                    outcome, reason, completion_requested, waiting_for, attention)
        SELECT id, 'pending', 1, CASE WHEN NOT held THEN now() END, 0, '', '', '', '', '', false, '', ''
        FROM wanted
    ), events AS (
        INSERT INTO orders_orderevent (order_id, sequence, type, progress, data, transaction_id)
        SELECT id, 1, 'order_placed', 0,
               jsonb_build_object('amount', goods_amount::text, 'currency', currency, 'held', held) || %s::jsonb,
               (SELECT {transaction})
        FROM wanted
    )
    SELECT pg_notify(%s, '') WHERE EXISTS (SELECT FROM wanted WHERE NOT held)
"""


def _store(candidates: dict[int, _Priced], owner_id: int) -> dict[int, Outcome]:
    """Store orders, without those whose key was stored concurrently."""
    if not candidates:
        return {}
    placed_at, ids = _take_ids(len(candidates))
    answers = {
        index: Accepted(order_id, number)
        for index, order_id, number in zip(candidates, ids, order_numbers(ids, placed_at), strict=True)
    }
    kept = _claim(candidates, answers, owner_id)
    _insert({answer.order_id: candidates[index] for index, answer in kept.items()}, owner_id)
    return dict(kept)


def _insert(orders: dict[int, _Priced], owner_id: int) -> None:
    order_rows, order_values = rows(_order_columns(orders))
    line_rows, line_values = rows(_line_columns(orders))
    origin = document(log_context.of_request())
    statement = STORE.format(
        orders=order_rows, lines=line_rows, new_uuid=NEW_UUID, transaction=CurrentTransaction.template
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*order_values, owner_id, *line_values, origin, wakeup.DUE])


def _take_ids(count: int) -> tuple[datetime, list[int]]:
    with connection.cursor() as cursor:
        cursor.execute(TAKE_IDS, [count])
        placed_at, ids = cursor.fetchone()
    return placed_at, ids


def _order_columns(orders: dict[int, _Priced]) -> dict[str, Column]:
    news = [order.entry.new for order in orders.values()]
    return {
        "id": ("bigint", list(orders)),
        "customer_id": ("text", [new.customer_id for new in news]),
        "customer_name": ("text", [new.customer_name for new in news]),
        "email": ("text", [new.email for new in news]),
        "currency": ("text", [new.currency for new in news]),
        "goods_amount": ("numeric", [order.amount for order in orders.values()]),
        "weight_grams": ("bigint", [_weight(order.lines) for order in orders.values()]),
        "shipping_address": (
            "jsonb",
            [document(new.shipping_address or {}) for new in news],
        ),
        "country": ("text", [new.country for new in news]),
        "payment_token": ("text", [new.payment_token for new in news]),
        "held": ("bool", [new.hold for new in news]),
    }


def _line_columns(orders: dict[int, _Priced]) -> dict[str, Column]:
    lines = [(order_id, line) for order_id, order in orders.items() for line in order.lines]
    return {
        "order_id": ("bigint", [order_id for order_id, _ in lines]),
        "product_id": ("bigint", [line.product_id for _, line in lines]),
        "quantity": ("int", [line.quantity for _, line in lines]),
        "unit_price": ("numeric", [line.unit_price for _, line in lines]),
    }


def _weight(lines: list[PlacedLine]) -> int:
    return sum([line.weight_grams * line.quantity for line in lines])


# --- Keys -------------------------------------------------------------------------------------------------

STORED = """
    SELECT key, request_hash, answer FROM orders_idempotencykey WHERE owner_id = %s AND key = ANY(%s::text[])
"""
# Ordered by key, against deadlocks between chunks.
CLAIM = """
    INSERT INTO orders_idempotencykey (owner_id, key, request_hash, status_code, answer)
    SELECT %s, key, decode(fingerprint, 'hex'), 201, answer
    FROM unnest(%s::text[], %s::text[], %s::jsonb[]) AS k(key, fingerprint, answer) ORDER BY key
    ON CONFLICT DO NOTHING RETURNING key
"""


def _stored(owner_id: int, keys: list[str]) -> dict[str, tuple[bytes, Accepted]]:
    if not keys:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(STORED, [owner_id, texts(keys)])
        return {
            key: (bytes(found), _accepted(msgspec.json.decode(answer)))
            for key, found, answer in cursor.fetchall()
        }


def _accepted(answer: dict[str, Any]) -> Accepted:
    """Return a stored answer; a dummy for other requests, whose fingerprint never matches."""
    return Accepted(answer.get("orderId", 0), answer.get("orderNumber", ""), replayed=True)


def _claim(
    candidates: dict[int, _Priced], answers: dict[int, Accepted], owner_id: int
) -> dict[int, Accepted]:
    """Store the keys. Return the answers of new keys and of orders without."""
    keyed = {index: order.entry for index, order in candidates.items() if order.entry.key}
    if not keyed:
        return answers
    columns = [
        texts(entry.key for entry in keyed.values()),
        words(entry.fingerprint.hex() for entry in keyed.values()),
        texts(_answer_json(answers[index]) for index in keyed),
    ]
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [owner_id, *columns])
        claimed = {key for (key,) in cursor.fetchall()}
    return {i: answer for i, answer in answers.items() if i not in keyed or keyed[i].key in claimed}


def _answer_json(answer: Accepted) -> str:
    return f'{{"orderId": {answer.order_id}, "orderNumber": "{answer.number}"}}'


# --- Back-pressure ----------------------------------------------------------------------------------------

POLL_SECONDS = 1.0


class _BacklogCache:
    """Cache of a count that found room: counting a long backlog is slow."""

    limit = 0
    until = 0.0


def is_backlogged(*, limit: int) -> bool:
    """Return whether more than `limit` orders are due; cached if not."""
    if limit == _BacklogCache.limit and time.monotonic() < _BacklogCache.until:
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM orders_journey WHERE due_at <= now() OFFSET %s)", [limit])
        found = bool(cursor.fetchone()[0])
    if not found:
        _BacklogCache.limit, _BacklogCache.until = limit, time.monotonic() + POLL_SECONDS
    return found
