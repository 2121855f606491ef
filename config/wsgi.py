"""The HTTP side: API, admin, Swagger, health. WebSockets live in `config.asgi`."""

import gc
import os

from django.core.wsgi import get_wsgi_application

from telemetry import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
tracing.start("web")

# What is there now stays: no need to look through all of it for garbage, over and over, between requests. And what
# a request makes is gone with it, nearly always without the collector.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 10, 10)
