"""The canary: a test order that verifies the whole pipeline.

A worker may be healthy and still fetch no messages; a missing canary shows that. The next run cancels it, so
stock and money are unchanged.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Prefetch

from inventory.listing_cache import forget_listings
from inventory.models import Product, StockItem
from orders import commands, queries
from orders.events import EventType
from orders.legs import WAITS_OUTSIDE
from orders.models import Credit, Journey, Order, OrderEvent, OrderLine
from orders.placing import pricing, single
from orders.reporting import wording
from orders.status import Status
from payments.models import Transaction

SKU = "CANARY-1"
UNITS = 100
KEPT = timedelta(hours=1)
# Canaries considered.
LATEST = 100
AT_REST = (Status.CANCELLED, Status.REJECTED)


@dataclass(frozen=True, slots=True)
class Flight:
    """The canaries' recent results; None if there is none."""

    last_sent_at: datetime | None = None
    last_success_at: datetime | None = None
    last_seconds: float | None = None  # from placement to confirmation
    waiting_since: datetime | None = None
    waits_for: str = ""  # or why it needs attention
    waits_outside: bool = False  # for an external system
    refused: str = ""  # why the latest was rejected


def take_turn(*, now: datetime) -> str:
    """Cancel confirmed canaries, send the next, delete old ones. Return a summary."""
    owner_id = _account()
    latest = list(_latest(owner_id))
    arrived = [order for order in latest if order.journey.status == Status.CONFIRMED]
    for order in arrived:
        commands.cancel_order(order_id=order.pk, reason="canary")
    forgotten = _forget(owner_id, before=now - KEPT)
    under_way = [order for order in latest if order.journey.status in (Status.PENDING, Status.PROCESSING)]
    # One escalated while its queue had no worker can continue.
    for order in under_way:
        if order.journey.attention:
            commands.retry_order(order_id=order.pk)
    if under_way:
        return f"{len(arrived)} called off, one is still under way, {forgotten} forgotten"
    _send(owner_id)
    return f"{len(arrived)} called off, one sent, {forgotten} forgotten"


def flight() -> Flight:
    owner_id = queries.canary_owner_id()
    if owner_id is None:
        return Flight()
    orders = list(_latest(owner_id))
    arrivals = [(order, at) for order in orders if (at := _confirmed_at(order))]
    under_way = [o for o in orders if o.journey.status in (Status.PENDING, Status.PROCESSING)]
    last = arrivals[0] if arrivals else None
    return Flight(
        last_sent_at=orders[0].placed_at if orders else None,
        last_success_at=last[1] if last else None,
        last_seconds=(last[1] - last[0].placed_at).total_seconds() if last else None,
        waiting_since=under_way[-1].placed_at if under_way else None,
        waits_for=_waits_for(under_way[-1]) if under_way else "",
        waits_outside=bool(under_way) and under_way[-1].journey.waiting_for in WAITS_OUTSIDE,
        refused=orders[0].journey.reason if orders and orders[0].journey.status == Status.REJECTED else "",
    )


def _latest(owner_id: int) -> list[Order]:
    arrivals = OrderEvent.objects.filter(type=EventType.CONFIRMED)
    orders = Order.objects.filter(owner_id=owner_id).select_related("journey").order_by("-pk")
    return list(orders.prefetch_related(Prefetch("events", arrivals, to_attr="arrivals"))[:LATEST])


def _waits_for(order: Order) -> str:
    return wording.attention(order.journey.attention) or wording.waits_for(order.journey.waiting_for)


def _confirmed_at(order: Order) -> datetime | None:
    arrivals: list[OrderEvent] = getattr(order, "arrivals", [])
    return arrivals[0].at if arrivals else None


def _send(owner_id: int) -> None:
    new = pricing.NewOrder(
        owner_id=owner_id,
        customer_name="Canary",
        lines=[pricing.WantedLine(quantity=1, sku=SKU)],
        currency=settings.CURRENCY,
        country=settings.DEFAULT_COUNTRY,
        payment_token=settings.CANARY_PAYMENT_TOKEN,
    )
    single.place_order(new=new, with_retired=True)


def _account() -> int:
    """The account has no password and is inactive."""
    user, is_new = User.objects.get_or_create(username=queries.CANARY_USERNAME, defaults={"is_active": False})
    if is_new:
        user.set_unusable_password()
        user.save()
    queries.forget_canary_owner()
    _product()
    return int(user.pk)


def _product() -> None:
    product, _ = Product.objects.get_or_create(
        sku=SKU,
        defaults={
            "name": "Canary",
            "description": "Travels through the pipeline to see whether it works. Not for sale.",
            "price": Decimal("1.00"),
            "currency": settings.CURRENCY,
            "active": False,
        },
    )
    if product.active:  # older catalogues sold it
        Product.objects.filter(pk=product.pk).update(active=False)
        forget_listings()
    StockItem.objects.get_or_create(product=product, defaults={"on_hand": UNITS, "reorder_level": 0})


def _forget(owner_id: int, *, before: datetime) -> int:
    old = Order.objects.filter(owner_id=owner_id, placed_at__lt=before, journey__status__in=AT_REST)
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:LATEST])
    if not ids:
        return 0
    with transaction.atomic():
        for model in (Transaction, Credit, OrderLine, OrderEvent, Journey):
            model._default_manager.filter(order_id__in=ids).delete()
        Order.objects.filter(pk__in=ids).delete()
    return len(ids)
