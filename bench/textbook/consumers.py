"""The live feed, after Channels' tutorial."""

from typing import Any

from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from django.conf import settings

STAFF = "orders"


class OrdersConsumer(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        order_id = self.scope["url_route"]["kwargs"].get("order_id")
        self.group = f"order_{order_id}" if order_id else STAFF
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.send_json({"type": "Ready"})

    async def disconnect(self, code: int) -> None:  # noqa: ARG002 - Channels passes it
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def order_event(self, message: dict[str, Any]) -> None:
        await self.send_json(message["event"])


def tell(order_id: int, event_id: int, event: str) -> None:
    """Send an event to the order's group and to staff."""
    if not settings.IS_LIVE:
        return
    body = {"orderId": order_id, "sequence": event_id, "event": event}
    for group in (f"order_{order_id}", STAFF):
        async_to_sync(get_channel_layer().group_send)(group, {"type": "order.event", "event": body})
