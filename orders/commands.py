"""Commands on orders, for the API, the admin site and the command line. None talks to the broker."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import OperationalError, transaction

import faults
from api.models import IdempotencyKey, KeyReused
from database.arrays import document, numbers, texts
from database.prepared import execute
from inventory import stock
from inventory.catalogue import ProductInfo, cached_products, find_products
from orders import journal, log_context, wakeup
from orders.models import Order, OrderLine, new_uuid, order_number
from orders.queries import OrderArchived, OrderNotFound
from orders.status import Status
from orders.workflow import JourneyState

MAX_QUANTITY = 1000
# Leaves room for shipping.
MAX_AMOUNT = Decimal("100000000.00")


class WantedLine(msgspec.Struct, frozen=True, gc=False):
    """A requested line; `price` is the one the customer saw."""

    quantity: int
    product_id: int | None = None
    sku: str | None = None
    product_name: str | None = None
    price: Decimal | None = None


class NewOrder(msgspec.Struct, frozen=True):
    """An order to place."""

    owner_id: int
    customer_name: str
    lines: Sequence[WantedLine]
    currency: str
    country: str
    payment_token: str
    customer_id: str = ""
    email: str = ""
    shipping_address: dict[str, str] | None = None
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key; the fingerprint identifies the request."""

    text: str
    fingerprint: bytes


class PlacedLine(msgspec.Struct, frozen=True, gc=False):
    """A stored line."""

    product_id: int
    sku: str
    product_name: str
    quantity: int
    unit_price: Decimal
    weight_grams: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A stored order; `replayed` if by an earlier request."""

    order_id: int
    uuid: UUID
    placed_at: datetime
    goods_amount: Decimal
    lines: Sequence[PlacedLine | OrderLine]
    replayed: bool = False

    @property
    def number(self) -> str:
        """The order number."""
        return order_number(self.order_id, self.placed_at)


class UnknownProduct(Exception):
    """The product does not exist or is retired."""

    def __init__(self, *, line: int, field: str, value: object) -> None:
        super().__init__(f"There is no product with {field} {str(value)[:80]!r} to order.")
        self.line, self.field, self.value = line, field, value


class PriceChanged(Exception):
    """The price is not the catalogue's."""

    def __init__(self, *, line: int, sku: str, sent: Decimal, current: Decimal, currency: str) -> None:
        super().__init__(f"The price of {sku} is {current} {currency}, not {sent}.")
        self.line, self.sku, self.sent, self.current, self.currency = line, sku, sent, current, currency


class WrongCurrency(Exception):
    """The product has another currency."""

    def __init__(self, *, line: int, sku: str, currency: str) -> None:
        super().__init__(f"{sku} is sold in {currency}.")
        self.line, self.sku, self.currency = line, sku, currency


class QuantityTooLarge(Exception):
    """One product's units exceed MAX_QUANTITY."""

    def __init__(self, *, line: int, maximum: int) -> None:
        super().__init__(f"One order may have at most {maximum} units of a product.")
        self.line, self.maximum = line, maximum


class AmountTooLarge(Exception):
    """The amount exceeds MAX_AMOUNT."""

    def __init__(self, *, maximum: Decimal) -> None:
        super().__init__(f"One order may be worth at most {maximum}.")
        self.maximum = maximum


REFUSALS = (UnknownProduct, PriceChanged, WrongCurrency, QuantityTooLarge, AmountTooLarge, KeyReused)


class NotPossible(Exception):
    """The status does not allow the command."""

    def __init__(self, *, action: str, status: Status) -> None:
        super().__init__(f"A {status} order cannot be {action}.")
        self.action, self.status = action, status


# --- Placing ----------------------------------------------------------------------------------------------

# One statement: one round trip, one transaction. It stores nothing if a product has changed since pricing. OFFSET 0
# forces a lookup per product: the planner would read the whole catalogue.
PLACE = """
    WITH lines AS (
        SELECT p.id, p.sku, p.name, wanted.quantity, p.price
        FROM unnest(%(product_ids)s::bigint[], %(versions)s::text[], %(quantities)s::int[])
             AS wanted(product_id, version, quantity)
        CROSS JOIN LATERAL (
            SELECT *, xmin || ' ' || ctid AS version FROM inventory_product WHERE id = wanted.product_id OFFSET 0
        ) p WHERE p.version = wanted.version
    ), taken AS (
        {taken}
    ), placed AS (
        INSERT INTO orders_order (id, uuid, owner_id, customer_id, customer_name, email, currency, goods_amount,
                                  weight_grams, shipping_address, country, payment_token, placed_at)
        SELECT id, %(uuid)s::uuid, %(owner_id)s::bigint, %(customer_id)s::text, %(customer_name)s::text,
               %(email)s::text, %(currency)s::text, %(goods_amount)s::numeric, %(weight_grams)s::bigint,
               %(shipping_address)s::jsonb, %(country)s::text, %(payment_token)s::text, now()
        FROM taken RETURNING id, placed_at
    ), stored_lines AS (
        INSERT INTO orders_orderline (order_id, product_id, sku, product_name, quantity, unit_price)
        SELECT taken.id, lines.* FROM taken, lines
    ), journey AS (
        INSERT INTO orders_journey (order_id, status, sequence, due_at, attempts, stock, shipping, payment,
                                    outcome, reason, completion_requested, waiting_for, attention)
        SELECT id, 'pending', 1, CASE WHEN NOT %(hold)s::bool THEN now() END,
               0, '', '', '', '', '', false, '', '' FROM taken
    ), event AS (
        INSERT INTO orders_orderevent (order_id, sequence, type, progress, data)
        SELECT id, 1, 'order_placed', 0, %(event)s::jsonb FROM taken
    )
    SELECT id, placed_at, CASE WHEN NOT %(hold)s::bool THEN pg_notify(%(channel)s::text, '')::text END FROM placed
"""
IF_AS_PRICED = "WHERE (SELECT count(*) FROM lines) = %(line_count)s::int"
TAKE_ID = f"SELECT nextval('orders_order_id_seq') AS id {IF_AS_PRICED}"
# Waits for a concurrent transaction with the key; a stored key yields no id.
TAKE_KEY_AND_ID = f"""
        INSERT INTO orders_idempotencykey (owner_id, key, request_hash, status_code, answer)
        SELECT %(owner_id)s::bigint, %(key)s::text, %(fingerprint)s::bytea, 201,
               jsonb_build_object('orderId', nextval('orders_order_id_seq')) {IF_AS_PRICED}
        ON CONFLICT DO NOTHING RETURNING (answer->'orderId')::bigint AS id
"""
PLACE_ONCE, PLACE = PLACE.replace("{taken}", TAKE_KEY_AND_ID), PLACE.replace("{taken}", TAKE_ID)

# Attempts while the catalogue changes.
PRICINGS = 5


def place_order(*, new: NewOrder, key: Key | None = None, with_retired: bool = False) -> Placed:
    """Store an order at the catalogue's prices; a repeated key returns the first order. Raises one of REFUSALS."""
    faults.point("post.before_insert")
    with suppress(*REFUSALS):
        # A stale cache stores nothing, and is no reason to refuse.
        if placed := _store(new, key, Catalogue(new.lines, with_retired=with_retired, find=cached_products)):
            return placed
    for _ in range(PRICINGS):
        if key and (placed := _placed_before(new.owner_id, key)):
            return placed
        if placed := _store(new, key, Catalogue(new.lines, with_retired=with_retired)):
            return placed
    raise OperationalError("The catalogue changes too fast to price the order.")


def _store(new: NewOrder, key: Key | None, catalogue: "Catalogue") -> Placed | None:
    """Store the order; None for a stale catalogue or a stored key."""
    lines, amount = price_lines(new, catalogue)
    uuid = new_uuid()
    parameters = _place_parameters(new, lines, amount) | {
        "uuid": uuid,
        "versions": texts(catalogue.version_of(line.product_id) for line in lines),
    }
    if key:
        parameters |= {"key": key.text, "fingerprint": key.fingerprint}
    for order_id, placed_at, _ in execute(PLACE_ONCE if key else PLACE, parameters):
        return Placed(order_id, uuid, placed_at, amount, lines)
    return None


def _placed_before(owner_id: int, key: Key) -> Placed | None:
    """Return the key's order, if any. Raises KeyReused or OrderArchived."""
    stored = IdempotencyKey.objects.filter(owner_id=owner_id, key=key.text).first()
    if stored is None:
        return None
    if bytes(stored.request_hash) != key.fingerprint:
        raise KeyReused
    order = Order.objects.filter(pk=stored.answer["orderId"]).first()
    if order is None:
        raise OrderArchived(stored.answer["orderId"])
    return Placed(
        order.pk, order.uuid, order.placed_at, order.goods_amount, list(order.lines.all()), replayed=True
    )


def _place_parameters(new: NewOrder, lines: list[PlacedLine], amount: Decimal) -> dict[str, Any]:
    event = {"amount": str(amount), "currency": new.currency, "held": new.hold} | log_context.of_request()
    return {
        "owner_id": new.owner_id,
        "customer_id": new.customer_id,
        "customer_name": new.customer_name,
        "email": new.email,
        "currency": new.currency,
        "goods_amount": amount,
        "weight_grams": sum(line.weight_grams * line.quantity for line in lines),
        "shipping_address": document(new.shipping_address or {}),
        "country": new.country,
        "payment_token": new.payment_token,
        "product_ids": numbers(line.product_id for line in lines),
        "quantities": numbers(line.quantity for line in lines),
        "line_count": len(lines),
        "hold": new.hold,
        "event": document(event),
        "channel": wakeup.DUE,
    }


def price_lines(new: NewOrder, catalogue: "Catalogue") -> tuple[list[PlacedLine], Decimal]:
    """Return the lines, merged and in product order, and their amount. Raises one of REFUSALS."""
    merged: dict[int, PlacedLine] = {}
    for index, wanted in enumerate(new.lines):
        product = catalogue.product_of(index, wanted)
        _check(index, wanted, product, new.currency)
        earlier = merged.get(product.id)
        quantity = wanted.quantity + (earlier.quantity if earlier else 0)
        if quantity > MAX_QUANTITY:
            raise QuantityTooLarge(line=index, maximum=MAX_QUANTITY)
        merged[product.id] = PlacedLine(
            product.id, product.sku, product.name, quantity, product.price, product.weight_grams
        )
    lines = [merged[product_id] for product_id in sorted(merged)]
    amount = sum((line.unit_price * line.quantity for line in lines), Decimal(0))
    if amount > MAX_AMOUNT:
        raise AmountTooLarge(maximum=MAX_AMOUNT)
    return lines, amount


def _check(index: int, wanted: WantedLine, product: ProductInfo, currency: str) -> None:
    if product.currency != currency:
        raise WrongCurrency(line=index, sku=product.sku, currency=product.currency)
    if wanted.price is not None and wanted.price != product.price:
        raise PriceChanged(
            line=index, sku=product.sku, sent=wanted.price, current=product.price, currency=product.currency
        )


class Catalogue:
    """The products of lines, read in one statement, or from the cache with `cached_products`."""

    def __init__(
        self,
        lines: Iterable[WantedLine],
        *,
        with_retired: bool = False,
        find: Callable[..., list[ProductInfo]] = find_products,
    ) -> None:
        lines = list(lines)
        products = find(
            ids={line.product_id for line in lines if line.product_id is not None},
            skus={line.sku for line in lines if line.sku is not None},
            names={line.product_name for line in lines if line.product_name is not None},
        )
        active = [product for product in products if product.active or with_retired]
        self._by_id = {product.id: product for product in active}
        self._by_sku = {product.sku: product for product in active}
        self._by_name = {product.name: product for product in active}

    def version_of(self, product_id: int) -> str:
        """Return a product's version."""
        return self._by_id[product_id].version

    def product_of(self, index: int, line: WantedLine) -> ProductInfo:
        """Return the product that all given identifiers agree on. Raises UnknownProduct."""
        if line.sku is None and line.product_name is None and line.product_id in self._by_id:
            return self._by_id[line.product_id]  # fast path
        found: ProductInfo | None = None
        for field, value, product in self._named(line):
            if value is None:
                continue
            if product is None or found not in (None, product):
                raise UnknownProduct(line=index, field=field, value=value)
            found = product
        if found is None:
            raise UnknownProduct(line=index, field="productId", value=None)
        return found

    def _named(self, line: WantedLine) -> list[tuple[str, object, ProductInfo | None]]:
        return [
            ("productId", line.product_id, self._by_id.get(line.product_id or 0)),
            ("sku", line.sku, self._by_sku.get(line.sku or "")),
            ("productName", line.product_name, self._by_name.get(line.product_name or "")),
        ]


# --- One order --------------------------------------------------------------------------------------------


def process_order(*, order_id: int) -> Status:
    """Start a held order; else a no-op."""
    return _single_status(process_orders(order_ids=[order_id]), order_id)


def complete_order(*, order_id: int) -> bool:
    """Complete an order; False if it has to be confirmed first. Raises NotPossible."""
    return _single_status(complete_orders(order_ids=[order_id]), order_id) is Status.COMPLETED


def cancel_order(*, order_id: int, reason: str, returning: bool = False) -> Status:
    """Cancel an order, with `returning` also a completed one. Idempotent. Raises NotPossible."""
    outcomes = cancel_orders(order_ids=[order_id], reason=reason, returning=returning)
    return _single_status(outcomes, order_id)


def retry_order(*, order_id: int) -> Status:
    """Clear the attention; due now unless ended. Raises NotPossible."""
    return _single_status(retry_orders(order_ids=[order_id]), order_id)


def approve_order(*, order_id: int) -> Status:
    """Let pass the leg on which staff decide; due now. Raises NotPossible."""
    return _single_status(approve_orders(order_ids=[order_id]), order_id)


# --- Many orders ------------------------------------------------------------------------------------------

# By order id, without unknown ones.
Outcomes = dict[int, "Status | NotPossible"]

# Orders per transaction: bounds waits for locks.
AT_ONCE = 500


def process_orders(*, order_ids: Sequence[int]) -> Outcomes:
    """Start held orders."""
    return _apply(order_ids, _process)


def complete_orders(*, order_ids: Sequence[int]) -> Outcomes:
    """Complete orders, one transaction each: each locks stock."""
    return {id_: outcome for order_id in order_ids for id_, outcome in _apply([order_id], _complete).items()}


def cancel_orders(*, order_ids: Sequence[int], reason: str, returning: bool = False) -> Outcomes:
    """Cancel orders."""
    return _apply(order_ids, partial(_cancel, reason=reason, returning=returning))


def cancel_held_orders(*, order_ids: Sequence[int], reason: str) -> int:
    """Cancel held orders. Return how many."""
    outcomes = _apply(order_ids, partial(_cancel_held, reason=reason))
    return sum(outcome is Status.CANCELLED for outcome in outcomes.values())


def retry_orders(*, order_ids: Sequence[int]) -> Outcomes:
    """Retry orders."""
    return _apply(order_ids, _retry)


def approve_orders(*, order_ids: Sequence[int]) -> Outcomes:
    """Approve orders."""
    return _apply(order_ids, _approve)


def _process(journey: JourneyState) -> None:
    if journey.is_held:
        journey.release()


def _complete(journey: JourneyState) -> None:
    match journey.status:
        case Status.COMPLETED:
            pass
        case Status.CONFIRMED:
            stock.sell(order_ids=[journey.order_id])
            journey.complete()
        case Status.PENDING | Status.PROCESSING:
            journey.request_completion()
        case _:
            raise NotPossible(action="completed", status=journey.status)


def _cancel(journey: JourneyState, *, reason: str, returning: bool) -> None:
    if journey.status in (Status.CANCELLED, Status.CANCELLING):
        return
    if journey.status is Status.REJECTED or (journey.status is Status.COMPLETED and not returning):
        raise NotPossible(action="cancelled", status=journey.status)
    journey.undo(outcome=Status.CANCELLED, reason=reason)


def _cancel_held(journey: JourneyState, *, reason: str) -> None:
    if journey.is_held:
        journey.undo(outcome=Status.CANCELLED, reason=reason)


def _retry(journey: JourneyState) -> None:
    if not journey.may_be_retried:
        raise NotPossible(action="retried", status=journey.status)
    journey.retry()


def _approve(journey: JourneyState) -> None:
    if not journey.needs_approval:
        raise NotPossible(action="approved", status=journey.status)
    journey.approve()


def _apply(order_ids: Sequence[int], act: Callable[[JourneyState], None]) -> Outcomes:
    outcomes: Outcomes = {}
    for start in range(0, len(order_ids), AT_ONCE):
        with transaction.atomic():
            journeys = journal.lock(order_ids[start : start + AT_ONCE])
            outcomes |= {journey.order_id: _outcome(journey, act) for journey in journeys}
            changed = [journey for journey in journeys if journey.events]
            journal.save(changed)
            if any(journey.due_in is not None for journey in changed):
                wakeup.wake_dispatcher()
            faults.point("command.before_commit")
    return outcomes


def _outcome(journey: JourneyState, act: Callable[[JourneyState], None]) -> "Status | NotPossible":
    try:
        act(journey)
    except NotPossible as refusal:
        return refusal
    return journey.status


def _single_status(outcomes: Outcomes, order_id: int) -> Status:
    outcome = outcomes.get(order_id)
    if outcome is None:
        raise OrderNotFound(order_id)
    if isinstance(outcome, NotPossible):
        raise outcome
    return outcome
