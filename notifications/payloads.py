"""Bodies of webhooks: the message of the live feed, and the order as `GET /api/orders/<id>` has it."""

from collections import defaultdict
from collections.abc import Sequence

from api.renderers import ENCODER
from live.messages import Message
from notifications.models import Delivery
from orders.http.offers import NO_ACCOUNT
from orders.http.responses import OrderDetail, detail
from orders.models import Order, OrderEvent
from orders.queries import completion_times
from payments.models import Transaction
from scheduling.slots import database_now

TEST, NO_ORDER = "webhook_test", 0


def compose(deliveries: Sequence[Delivery]) -> dict[int, bytes]:
    """Return the bodies by delivery. Archived orders have none."""
    ids = {delivery.order_id for delivery in deliveries}
    orders = Order.objects.select_related("journey").prefetch_related("lines").in_bulk(ids)
    details = _details(orders)
    found = OrderEvent.objects.filter(order_id__in=orders)
    events = {(event.order_id, event.sequence): event for event in found}
    bodies = {d.pk: _test(d) for d in deliveries if d.order_id == NO_ORDER}
    for each in deliveries:
        if event := events.get((each.order_id, each.sequence)):
            message = Message.of_order_event(event, orders[each.order_id])
            bodies[each.pk] = ENCODER.encode(message.body | {"order": details[each.order_id]})
    return bodies


def _details(orders: dict[int, Order]) -> dict[int, OrderDetail]:
    transactions: defaultdict[int, list[Transaction]] = defaultdict(list)
    for row in Transaction.objects.filter(order_id__in=orders).order_by("started_at", "kind"):
        transactions[row.order_id].append(row)
    completed = completion_times(orders.values())
    return {
        order.pk: detail(
            order,
            lines=order.lines.all(),
            transactions=transactions[order.pk],
            viewer=NO_ACCOUNT,
            completed_at=completed.get(order.pk),
        )
        for order in orders.values()
    }


def _test(delivery: Delivery) -> bytes:
    body = {
        "type": "WebhookTest",
        "event": TEST,
        "sequence": delivery.sequence,
        "timestamp": database_now(),
        "message": "A test delivery. It belongs to no order.",
    }
    return ENCODER.encode(body)
