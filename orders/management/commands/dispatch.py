"""`manage.py dispatch`: run a dispatcher until SIGTERM or Ctrl-C."""

import gc
import signal
from typing import Any

from django.core.management.base import BaseCommand

from orders.dispatcher import Dispatcher
from telemetry import tracing

YOUNG_OBJECTS = 50_000


class Command(BaseCommand):
    """Claim due orders and send them to the workers."""

    help = "Claim due orders and send them to the workers, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        tracing.start("dispatcher")
        # A claim makes thousands of objects and lets them go; the collector would look through all others meanwhile.
        gc.set_threshold(YOUNG_OBJECTS, 10, 10)
        dispatcher = Dispatcher()
        signal.signal(signal.SIGTERM, dispatcher.stop)
        signal.signal(signal.SIGINT, dispatcher.stop)
        dispatcher.run()
