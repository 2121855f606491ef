"""The live server's signs of life: from its event loop, so that one that hangs falls silent."""

import asyncio

from live.asgi import ASGIApplication, Receive, Scope, Send
from live.sockets import REGISTER
from runtime import heartbeats

NAME = "live"
BEAT_SECONDS = 2.0


class Alive:
    """Passes everything on; from the first call on it tells that the server lives, and for how many sockets.

    The first call comes from the health check at the latest.
    """

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application
        self._beating: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(_beat_on())
        await self._application(scope, receive, send)


async def _beat_on() -> None:
    while True:
        heartbeats.beat(NAME, sockets=len(REGISTER))
        await asyncio.sleep(BEAT_SECONDS)
