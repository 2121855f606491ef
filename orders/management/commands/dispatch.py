"""`manage.py dispatch`: dispatch until SIGTERM or Ctrl-C."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from orders.dispatcher import Dispatcher
from runtime import gc
from telemetry import tracing


class Command(BaseCommand):
    requires_system_checks: list[str] = []  # `config.prepare` runs them; here they would keep 10 MB

    help = "Claim due orders and send them to the workers, until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        tracing.start("dispatcher")
        gc.leave_alone()
        dispatcher = Dispatcher()
        signal.signal(signal.SIGTERM, dispatcher.stop)
        signal.signal(signal.SIGINT, dispatcher.stop)
        dispatcher.run()
