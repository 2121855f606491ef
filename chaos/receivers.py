"""Webhook receivers: one accepts, one never ends its headers."""

import asyncio
import contextlib

DRIP_SECONDS = 0.2


class Receiver:
    """Listens on its own port and counts calls."""

    def __init__(self, *, drips: bool) -> None:
        self.calls = 0
        self.most_open = 0
        self._drips = drips
        self._open = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls, self._open = self.calls + 1, self._open + 1
        self.most_open = max(self.most_open, self._open)
        with contextlib.suppress(OSError):
            await reader.read(65536)
            await self._answer(writer)
        self._open -= 1
        writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if not self._drips:
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nX-Filler: ")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(DRIP_SECONDS)
