"""A client that leaves at the wrong moment is nothing to report."""

import asyncio
import logging

import pytest

from live.consumers import FeedConsumer
from live.feeds import Notice
from live.protocols import JsonProtocol
from live.sockets import REGISTER

SCOPE = {"type": "websocket", "path": "/ws/orders", "query_string": b"", "headers": []}


class Leaving(FeedConsumer):
    """Always has something to send."""

    async def _authenticate(self):
        return None

    async def _agree(self):
        return JsonProtocol()

    async def feed(self, viewer):
        while True:
            yield Notice({"type": "Ready"})
            await asyncio.sleep(0)


@pytest.mark.parametrize("error", [RuntimeError("after sending 'websocket.close'"), ConnectionResetError()])
async def test_one_that_left_while_it_was_written_to_is_not_logged(error, caplog, monkeypatch):
    monkeypatch.setattr(REGISTER, "enter", lambda *_: None)
    caplog.set_level(logging.WARNING)
    events: asyncio.Queue = asyncio.Queue()
    gone = asyncio.Event()
    events.put_nowait({"type": "websocket.connect"})

    async def send(event):
        if event["type"] == "websocket.send":
            gone.set()
            raise error

    socket = asyncio.create_task(Leaving()(SCOPE, events.get, send))
    await gone.wait()
    events.put_nowait({"type": "websocket.receive", "text": "hello", "bytes": None})
    events.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await asyncio.wait([socket], timeout=10)

    assert socket.done()
    assert caplog.records == []
