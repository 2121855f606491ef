"""uvicorn's server, patched: it wakes up once a second.

Defect: it polls ten times a second for its own stop, a third of an idle server's CPU.
Test: tests/runtime/test_tick.py.
Remove: when uvicorn waits for a stop signal instead of polling (0.54 does not).
"""

import asyncio
import signal
import threading
from contextlib import suppress
from types import FrameType

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

TICK_SECONDS = 1.0
# `on_tick` counts tenths of a second, and renews the Date header at each tenth call.
TENTHS = 10


_polling = uvicorn.Server.main_loop


async def main_loop(server: uvicorn.Server) -> None:
    """Tick until the server has to stop; a signal stops it at once. A thread gets no signals, and polls."""
    if threading.current_thread() is not threading.main_thread():
        await _polling(server)
        return
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        server.handle_exit(number, frame)
        loop.call_soon_threadsafe(stop.set)

    for number in HANDLED_SIGNALS:  # uvicorn restores them at its end
        signal.signal(number, on_signal)
    while not await server.on_tick(TENTHS):
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await stop.wait()


def install(server: type[uvicorn.Server] = uvicorn.Server) -> None:
    server.main_loop = main_loop  # type: ignore[assignment,method-assign] # the name of the first parameter
