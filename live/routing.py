"""WebSocket routes."""

from typing import Any

from channels.routing import URLRouter
from django.urls import URLPattern, re_path

from live.consumers import FeedConsumer, HubConsumer, LiveConsumer, NowhereConsumer, OrderConsumer
from live.origins import OriginGuard


def route(pattern: str, consumer: type[LiveConsumer]) -> URLPattern:
    view: Any = consumer.as_asgi()  # the stubs know HTTP views only
    return re_path(pattern, view)


routes: list[Any] = [
    route(r"^ws/orders/?$", FeedConsumer),
    route(r"^ws/orders/(?P<reference>[^/]+)/?$", OrderConsumer),
    route(r"^orderHub/?$", HubConsumer),
    route(r"", NowhereConsumer),
]

application = OriginGuard(URLRouter(routes))
