"""A TCP proxy that can cut, swallow, delay, drip, or lose an answer."""

import asyncio
import contextlib
from collections.abc import Callable

CHUNK = 65536


class Link:
    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        # set by a fateful request: its answer is dropped
        self.doomed = False

    def cut(self) -> None:
        for writer in (self.client, self.server):
            with contextlib.suppress(Exception):
                writer.transport.abort()


class Proxy:
    """Listens on its own port and forwards to `target_port`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.delay = 0.0  # seconds before each chunk of an answer
        self.drip = 0.0  # seconds between bytes of an answer; 0: forward at once
        self._is_fateful: Callable[[bytes], bool] = lambda _: False
        self.lost_answers = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        for link in list(self._links):
            link.cut()

    def swallow(self) -> None:
        """Forward nothing in either direction, without closing: a network partition."""
        self._flowing.clear()

    def heal(self) -> None:
        self._flowing.set()
        self.delay = self.drip = 0.0
        self._is_fateful = lambda _: False

    def lose_answers_to(self, is_fateful: Callable[[bytes], bool]) -> None:
        """Cut the connection before the answer to a request that `is_fateful`."""
        self._is_fateful = is_fateful

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, server_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._forward_request(reader, link), self._forward_answer(server_reader, link)
            )
        finally:
            self._links.discard(link)
            link.cut()

    async def _forward_request(self, reader: asyncio.StreamReader, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                link.doomed = link.doomed or self._is_fateful(data)
                link.server.write(data)
                await link.server.drain()
        link.cut()

    async def _forward_answer(self, reader: asyncio.StreamReader, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if link.doomed:
                    self.lost_answers += 1
                    break
                await self._drip_or_send(data, link)
        link.cut()

    async def _drip_or_send(self, data: bytes, link: Link) -> None:
        """Forward byte by byte while `drip` is set, then the rest."""
        sent = 0
        while self.drip and sent < len(data):
            link.client.write(data[sent : sent + 1])
            await link.client.drain()
            sent += 1
            await asyncio.sleep(self.drip)
        link.client.write(data[sent:])
        await link.client.drain()
