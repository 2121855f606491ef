"""Response bodies of orders."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.responses import Answer
from iso.currencies import rounded
from orders.http.line_bodies import AdjustmentBody, Line, adjustment_bodies, line_bodies
from orders.http.links import track_link
from orders.http.offers import Viewer, offers, open_commands
from orders.http.payment_bodies import (
    ExpiresAt,
    PaymentAction,
    PaymentTransaction,
    action_body,
    transaction_body,
)
from orders.legs import NAMES
from orders.models import Order, OrderLine
from orders.operators.situations import SITUATIONS, WAITS_FOR_NOTHING, Explanation
from orders.placing import totals
from orders.placing.pricing import NewOrder
from orders.placing.single import Placed
from orders.queries import completion_times
from orders.refunding.extent import RefundState, refundable_of, state_of
from orders.reporting.wording import is_code
from orders.status import Status
from payments.balance import standing
from payments.expiry import expires_at
from payments.models import Transaction
from shipping.quotes import Refusal

OPEN = "open"

StatusName = Annotated[
    str,
    Meta(
        extra_json_schema={"enum": [status.value.capitalize() for status in Status]}, examples=["Completed"]
    ),
]


LegCodes = msgspec.defstruct("LegCodes", [(name, str) for name in NAMES], bases=(Answer,), kw_only=True)


class Legs(LegCodes):  # type: ignore[valid-type, misc]
    """Outcome of each leg; `open` while there is none."""


class Links(Answer, kw_only=True):
    """Related resources, and the commands that the caller may run now."""

    itself: str = msgspec.field(name="self")
    events: str
    process: str | UnsetType = UNSET
    complete: str | UnsetType = UNSET
    cancel: str | UnsetType = UNSET
    ticket: str | UnsetType = UNSET
    track: Annotated[
        str, Meta(description="The customer's page of the order, signed: it needs no account and expires.")
    ]


class OrderSummary(Answer, kw_only=True):
    """An order in a list."""

    id: int
    order_id: int
    order_number: str
    uuid: UUID
    customer_id: str | None
    customer_name: str
    external_reference: Annotated[
        str | None, Meta(description="The shop's own, of one order of the account.")
    ]
    status: StatusName
    held: bool
    progress: int
    total_amount: Annotated[
        Decimal,
        Meta(description="Goods, adjustments and shipping; without shipping while `totalIsFinal` is false."),
    ]
    total_is_final: Annotated[bool, Meta(description="False until shipping is priced.")]
    currency: str
    waiting_for: str | None
    reason: Annotated[str, Meta(description="A code, or text that a user typed.")] | None
    reason_code: Annotated[str, Meta(description="The code of a rejection; null for typed reasons.")] | None
    attention: str | UnsetType | None = UNSET  # staff only
    version: int
    placed_at: datetime
    created_at: Annotated[
        datetime, Meta(description="The same as `placedAt`.", extra_json_schema={"deprecated": True})
    ]
    completed_at: Annotated[datetime | None, Meta(description="It stays when the order is refunded.")]
    settled_at: Annotated[
        datetime | None,
        Meta(
            description="When it became Confirmed, Completed, Cancelled or Rejected, as its `status` says;"
            " null while it is Pending, Processing or Cancelling. A Confirmed order is paid, not handed over:"
            " see `completedAt`."
        ),
    ]
    finished_at: Annotated[
        datetime | None,
        Meta(description="The same as `settledAt`.", extra_json_schema={"deprecated": True}),
    ]
    refund_state: Annotated[
        str,
        Meta(
            description="Whether nothing, a part or all of what was captured is refunded.",
            extra_json_schema={"enum": [state.value for state in RefundState]},
        ),
    ]
    links: Links


class OrderDetail(OrderSummary, kw_only=True):
    """Everything about an order."""

    email: str | None
    goods_amount: Decimal
    adjustment_amount: Annotated[
        Decimal, Meta(description="The sum of all adjustments that are not included, with those of lines.")
    ]
    shipping_amount: Decimal | None
    estimated_shipping_amount: Annotated[
        Decimal | None,
        Meta(description="Shipping at current rates, while `totalIsFinal` is false and there is a price."),
    ]
    estimated_total_amount: Annotated[
        Decimal | None, Meta(description="With estimated shipping: what will be charged at these rates.")
    ]
    shipping_address: dict[str, str]
    country: str
    metadata: Annotated[dict[str, str], Meta(description="The shop's own facts.")]
    language: Annotated[str | None, Meta(description="As given; null: the shop's.")]
    refunded_amount: Annotated[
        Decimal, Meta(description="All that was refunded, in parts or on cancellation; see /refunds.")
    ]
    items: list[Line]
    adjustments: list[AdjustmentBody]
    legs: Legs
    payments: list[PaymentTransaction]
    authorization_expires_at: ExpiresAt
    payment_action: (
        Annotated[PaymentAction, Meta(description="Told to the order's owner only.")] | UnsetType | None
    ) = UNSET


class Why(Answer):
    """Explanation of an order's state, for operators."""

    situation: Annotated[str, Meta(extra_json_schema={"enum": list(SITUATIONS)})]
    waiting_for: str | None
    since: datetime | None
    why: str
    safe_to_retry: bool
    next_action: str
    next_look: Annotated[datetime | None, Meta(description="When it is next attempted by itself.")]


class OrderPage(Answer):
    """A page of orders, newest first."""

    next: str | None
    results: list[OrderSummary]


def status_name(status: str) -> str:
    """Return a status as spelled on the wire: Pending, Processing, …"""
    return status.capitalize()


def _links(order_id: int, placed_at: datetime, version: int = 0, *, offered: Iterable[str]) -> Links:
    """Return an order's links, given the version of its signed ones."""
    at = f"/api/orders/{order_id}"
    return Links(
        itself=at,
        events=f"{at}/events",
        track=track_link(order_id, placed_at, version),
        **{command: f"{at}/{command}" for command in offered},
    )


def placed(order: Placed, *, new: NewOrder, viewer: Viewer) -> OrderDetail:
    """Return a new order's detail for its owner, without a query."""
    offered = (viewer.on_own | viewer.on_all) & open_commands(Status.PENDING, is_held=new.hold)
    return OrderDetail(
        **_placed_facts(order, new),
        links=_links(order.order_id, order.placed_at, offered=offered),
        status="Pending",
        held=new.hold,
        progress=0,
        waiting_for=None,
        reason=None,
        reason_code=None,
        attention=None if viewer.sees_all else UNSET,
        version=1,
        completed_at=None,
        settled_at=None,
        finished_at=None,
        refund_state=RefundState.NONE,
        total_is_final=False,
        shipping_amount=None,
        **_estimates(
            order.goods_amount + order.adjustment_amount,
            totals.estimate_shipping(
                country=new.country,
                currency=new.currency,
                goods=order.goods_amount,
                weight_grams=order.weight_grams,
            ),
        ),
        legs=Legs(**dict.fromkeys(NAMES, OPEN)),
        refunded_amount=rounded(NOTHING, new.currency),
        payments=[],
        authorization_expires_at=None,
        payment_action=None,
    )


def _estimates(total: Decimal, shipping: Decimal | Refusal | None) -> dict[str, Any]:
    price = shipping if isinstance(shipping, Decimal) else None
    return {
        "estimated_shipping_amount": price,
        "estimated_total_amount": None if price is None else total + price,
    }


def _placed_facts(order: Placed, new: NewOrder) -> dict[str, Any]:
    return {
        "id": order.order_id,
        "order_id": order.order_id,
        "order_number": order.number,
        "uuid": order.uuid,
        "customer_id": new.customer_id or None,
        "customer_name": new.customer_name,
        "external_reference": new.external_reference or None,
        "metadata": new.metadata or {},
        "language": new.language or None,
        "email": new.email or None,
        "currency": new.currency,
        "total_amount": order.goods_amount + order.adjustment_amount,
        "goods_amount": order.goods_amount,
        "adjustment_amount": rounded(order.adjustment_amount, new.currency),
        "adjustments": adjustment_bodies(order.adjustments),
        "shipping_address": new.shipping_address or {},
        "country": new.country,
        "placed_at": order.placed_at,
        "created_at": order.placed_at,
        "items": line_bodies(order.lines, order.adjustments),
    }


def summary(
    order: Order, *, viewer: Viewer, completed_at: datetime | None, refunded: Decimal, refundable: Decimal
) -> OrderSummary:
    """Return an order's summary, given what was refunded in parts and can be at most; `attention` is for staff only."""
    state = state_of(order, refunded=refunded, refundable=refundable)
    return OrderSummary(**_facts(order, viewer), completed_at=completed_at, refund_state=state)


def detail(
    order: Order,
    *,
    lines: Iterable[OrderLine],
    transactions: Sequence[Transaction],
    viewer: Viewer,
    completed_at: datetime | None,
) -> OrderDetail:
    """Return an order's detail, for its owner with the next action of the payment."""
    journey, currency = order.journey, order.currency
    shipping = None if _is_total_final(order) else _estimate(order)
    priced = journey.shipping_amount
    refunded = sum((entry.amount for entry in standing(transactions, Transaction.Kind.REFUND)), NOTHING)
    adjustments = order.adjustment_list
    return OrderDetail(
        **_facts(order, viewer),
        completed_at=completed_at,
        refund_state=state_of(order, refunded=refunded, refundable=refundable_of(order, transactions)),
        email=order.email or None,
        goods_amount=rounded(order.goods_amount, currency),
        adjustment_amount=rounded(order.adjustment_amount, currency),
        adjustments=adjustment_bodies(adjustments),
        shipping_amount=None if priced is None else rounded(priced, currency),
        **_estimates(order.goods_amount + order.adjustment_amount, shipping),
        refunded_amount=rounded(refunded, currency),
        shipping_address=order.shipping_address,
        country=order.country,
        metadata=order.metadata,
        language=order.language or None,
        items=line_bodies(lines, adjustments),
        legs=Legs(**{name: getattr(journey, name) or OPEN for name in NAMES}),
        payments=[transaction_body(row) for row in transactions],
        authorization_expires_at=expires_at(transactions),
        payment_action=action_body(journey, transactions) if order.owner_id == viewer.user_id else UNSET,
    )


NOTHING = Decimal(0)


def _facts(order: Order, viewer: Viewer) -> dict[str, Any]:
    journey = order.journey
    is_refused = is_code(status=journey.status, outcome=journey.outcome, reason=journey.reason)
    return {
        "id": order.pk,
        "order_id": order.pk,
        "order_number": order.number,
        "uuid": order.uuid,
        "customer_id": order.customer_id or None,
        "customer_name": order.customer_name,
        "external_reference": order.external_reference or None,
        "status": status_name(journey.status),
        "held": journey.is_held,
        "progress": journey.progress,
        "total_amount": order.total_amount,
        "total_is_final": _is_total_final(order),
        "currency": order.currency,
        "waiting_for": journey.waiting_for or None,
        "reason": journey.reason or None,
        "reason_code": (journey.reason or None) if is_refused else None,
        "attention": (journey.attention or None) if viewer.sees_all else UNSET,
        "version": journey.sequence,
        "placed_at": order.placed_at,
        "created_at": order.placed_at,
        "settled_at": journey.finished_at,
        "finished_at": journey.finished_at,
        "links": _links(
            order.pk,
            order.placed_at,
            order.link_version,
            offered=offers(journey, owner_id=order.owner_id, viewer=viewer),
        ),
    }


def _is_total_final(order: Order) -> bool:
    journey = order.journey
    return journey.shipping_amount is not None or journey.finished_at is not None


def _estimate(order: Order) -> Decimal | Refusal:
    return totals.estimate_shipping(
        country=order.country,
        currency=order.currency,
        goods=order.goods_amount,
        weight_grams=order.weight_grams,
    )


def order_page(orders: Sequence[Any], *, following: str | None, viewer: Viewer) -> OrderPage:
    """Return a page of orders, annotated by `extent.annotated`."""
    completed = completion_times(orders)
    results = [
        summary(
            order,
            viewer=viewer,
            completed_at=completed.get(order.pk),
            refunded=order.refunded,
            refundable=order.refundable,
        )
        for order in orders
    ]
    return OrderPage(next=following, results=results)


def why(explanation: Explanation) -> Why:
    return Why(
        situation=str(explanation.situation),
        waiting_for=None if explanation.waiting_for == WAITS_FOR_NOTHING else explanation.waiting_for,
        since=explanation.since,
        why=explanation.why,
        safe_to_retry=explanation.safe_to_retry,
        next_action=explanation.next_action,
        next_look=explanation.next_look,
    )
