"""The ASGI application: WebSockets."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.textbook.settings")
http = get_asgi_application()

from django.urls import path  # noqa: E402

from bench.textbook.consumers import OrdersConsumer  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [
                path("ws/orders", OrdersConsumer.as_asgi()),
                path("ws/orders/<int:order_id>", OrdersConsumer.as_asgi()),
            ]
        ),
    }
)
