"""WSGI entry point; WebSockets are in `config.asgi`."""

import os

from django.core.wsgi import get_wsgi_application

from runtime import gc
from telemetry import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
tracing.start("web")
gc.leave_alone()
