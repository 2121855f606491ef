"""ASGI entry point: WebSockets, and the HTTP that their clients need first."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

from telemetry import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# loads the apps for the consumers' imports
http = get_asgi_application()
tracing.start("live")

from live import routing, tick  # noqa: E402
from live.heartbeat import Alive  # noqa: E402

tick.install()
application = Alive(ProtocolTypeRouter({"http": http, "websocket": routing.application}))
