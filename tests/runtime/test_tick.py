"""The live server's loop: few wake-ups while idle, and a stop without delay."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from config import asgi
from live import tick


class Counting(uvicorn.Server):
    """Receives a stop signal after its first tick."""

    ticks = 0

    async def on_tick(self, counter: int) -> bool:
        self.ticks += 1
        if self.ticks == 1:
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        return await super().on_tick(counter)


@pytest.fixture
def keeps_signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("keeps_signals")
def test_a_signal_stops_it_between_two_ticks(monkeypatch):
    monkeypatch.setattr(tick, "TICK_SECONDS", 3600)
    server = Counting(uvicorn.Config(asgi.application))
    asyncio.run(asyncio.wait_for(server.main_loop(), 10))
    assert (server.should_exit, server.ticks) == (True, 2)


def test_a_server_in_a_thread_polls_for_its_stop():
    server = uvicorn.Server(uvicorn.Config(asgi.application))
    server.should_exit = True
    with ThreadPoolExecutor(1) as threads:
        threads.submit(asyncio.run, server.main_loop()).result(10)


def test_the_date_of_answers_is_renewed_with_each_tick():
    server = uvicorn.Server(uvicorn.Config(asgi.application))
    asyncio.run(server.on_tick(tick.TENTHS))
    assert [name for name, _ in server.server_state.default_headers] == [b"date"]
