"""`manage.py relay`: relay the journal to the event stream until SIGTERM or Ctrl-C."""

import asyncio
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from runtime import gc
from stream import service
from telemetry import tracing


class Command(BaseCommand):
    help = "Relays the journal to the event stream (NATS_URL) and announces this node until stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        tracing.start("relay")
        gc.leave_alone()
        with asyncio.Runner() as runner:
            runner.run(_until_stopped())


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if not settings.NATS_URL:
        await stopped.wait()  # the supervisor would restart a process that exits
        return
    serving = asyncio.create_task(service.serve())
    await asyncio.wait([serving, asyncio.create_task(stopped.wait())], return_when=asyncio.FIRST_COMPLETED)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=not serving.done() or serving.cancelled())
