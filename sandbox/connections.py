"""Dropped connections, as of a provider that is down."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HANG_UP = "sandbox.hang_up"


class HangUpProtocol(HttpToolsProtocol):
    """Lets a request drop its connection, unlike ASGI."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {HANG_UP: {"call": self.transport.abort}}


class HangUp(Response):
    """Closes the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        scope["extensions"][HANG_UP]["call"]()
        while (await receive())["type"] != "http.disconnect":
            pass


async def hold(request: Request, seconds: float) -> None:
    """Delay the answer; return early if the client disconnects."""
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass
