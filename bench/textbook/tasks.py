"""One canvas per order: stock beside shipping and payment, capture, confirmation."""

from decimal import Decimal
from functools import partial

import requests
from celery import chain, chord, shared_task
from django.conf import settings
from django.db import transaction

from bench.textbook.consumers import tell
from bench.textbook.models import Order, OrderEvent, Payment, Product


def happened(order: Order, event: str) -> None:
    kept = OrderEvent.objects.create(order=order, type=event)
    transaction.on_commit(partial(tell, order.pk, kept.pk, event))


def process(order_id: int) -> None:
    chord(
        [reserve_stock.si(order_id), chain(quote_shipping.si(order_id), authorize_payment.si(order_id))],
        chain(capture_payment.si(order_id), confirm_order.si(order_id)),
    ).delay()


@shared_task
def reserve_stock(order_id: int) -> None:
    with transaction.atomic():
        order = Order.objects.get(pk=order_id)
        for item in order.items.order_by("product_id"):
            product = Product.objects.select_for_update().get(pk=item.product_id)
            if product.stock < item.quantity:
                raise ValueError(f"{product} is out of stock")
            product.stock -= item.quantity
            product.save()
            item.reserved = True
            item.save()
        happened(order, "stock_reserved")


@shared_task
def quote_shipping(order_id: int) -> None:
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=order_id)
        grams = sum(item.product.weight_grams * item.quantity for item in order.items.all())
        order.shipping_amount = Decimal("4.99") + grams // 1000
        order.total_amount += order.shipping_amount
        order.save()
        happened(order, "shipping_quoted")


@shared_task
def authorize_payment(order_id: int) -> None:
    order = Order.objects.get(pk=order_id)
    reference = _call("authorizations", order, token="tok_demo")  # noqa: S106 - of the sandbox
    with transaction.atomic():
        Payment.objects.create(
            order=order, status="authorized", amount=order.total_amount, reference=reference
        )
        happened(order, "payment_authorized")


@shared_task
def capture_payment(order_id: int) -> None:
    order = Order.objects.get(pk=order_id)
    payment = order.payments.get()
    _call("captures", order, authorization=payment.reference)
    with transaction.atomic():
        payment.status = "captured"
        payment.save()
        happened(order, "payment_captured")


@shared_task
def confirm_order(order_id: int) -> None:
    with transaction.atomic():
        order = Order.objects.select_for_update().get(pk=order_id)
        order.status = "confirmed"
        order.save()
        happened(order, "order_confirmed")


def _call(operation: str, order: Order, **details: str) -> str:
    """Call the payment provider; without one, assume success."""
    if not settings.PAYMENT_API_URL:
        return f"in-process-{order.pk}"
    response = requests.post(
        f"{settings.PAYMENT_API_URL}/{operation}",
        json={"reference": f"textbook-{order.pk}", "amount": str(order.total_amount), "currency": "USD"}
        | details,
        headers={"Idempotency-Key": f"{operation}-{order.pk}"},
        timeout=10,
    )
    response.raise_for_status()
    return str(response.json()["id"])
