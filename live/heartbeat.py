"""The live server's heartbeat, from its event loop: a blocked loop goes silent."""

import asyncio

from live.asgi import ASGIApplication, Receive, Scope, Send
from live.sockets import REGISTER
from runtime import heartbeats

NAME = "live"
BEAT_SECONDS = 2.0


class Alive:
    """Starts the heartbeat with the first call, such as the health check."""

    def __init__(self, application: ASGIApplication) -> None:
        self._application = application
        self._beat: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._beat is None or self._beat.done():
            self._beat = asyncio.create_task(_beat_forever())
        await self._application(scope, receive, send)


async def _beat_forever() -> None:
    while True:
        heartbeats.beat(NAME, sockets=len(REGISTER))
        await asyncio.sleep(BEAT_SECONDS)
