"""A TCP proxy that can be told to misbehave: cut, swallow, delay, drip, or lose an answer on its way."""

import asyncio
import contextlib
from collections.abc import Callable

CHUNK = 65536


class Link:
    """One proxied connection."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        # Set once the client has said the fateful word: the next answer is not delivered any more.
        self.doomed = False

    def cut(self) -> None:
        """End both sides at once, with a reset where the system allows it."""
        for writer in (self.client, self.server):
            with contextlib.suppress(Exception):
                writer.transport.abort()


class Proxy:
    """Listens on a port of its own, and passes everything on to `target_port` unless told otherwise."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.delay = 0.0  # seconds that each chunk of an answer is held back
        self.drip = 0.0  # seconds between two bytes of an answer; 0: it is passed on whole
        self._is_fateful: Callable[[bytes], bool] = lambda _: False
        self.lost_answers = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Cut every connection that is open now; new ones are let through."""
        for link in list(self._links):
            link.cut()

    def swallow(self) -> None:
        """From now on nothing arrives on either side, and nobody is told: a partition."""
        self._flowing.clear()

    def heal(self) -> None:
        """Let everything through again, without delay."""
        self._flowing.set()
        self.delay = self.drip = 0.0
        self._is_fateful = lambda _: False

    def lose_answers_to(self, is_fateful: Callable[[bytes], bool]) -> None:
        """Pass on what the client says; where `is_fateful` says so of it, cut before the server's answer."""
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
            await asyncio.gather(self._ask(reader, link), self._answer(server_reader, link))
        finally:
            self._links.discard(link)
            link.cut()

    async def _ask(self, reader: asyncio.StreamReader, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                link.doomed = link.doomed or self._is_fateful(data)
                link.server.write(data)
                await link.server.drain()
        link.cut()

    async def _answer(self, reader: asyncio.StreamReader, link: Link) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flowing.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if link.doomed:
                    self.lost_answers += 1
                    break
                await self._pass_on(data, link)
        link.cut()

    async def _pass_on(self, data: bytes, link: Link) -> None:
        """Pass an answer on: one byte after the other for as long as it is to drip, then the rest."""
        sent = 0
        while self.drip and sent < len(data):
            link.client.write(data[sent : sent + 1])
            await link.client.drain()
            sent += 1
            await asyncio.sleep(self.drip)
        link.client.write(data[sent:])
        await link.client.drain()
