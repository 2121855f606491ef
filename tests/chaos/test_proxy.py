"""The proxy of the campaign: passes on, cuts, swallows, and loses the one answer that it is told to lose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from chaos.proxy import Proxy

PATIENCE_SECONDS = 10.0


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def echo_behind_proxy() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1])
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
        server.close()


async def _said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes) -> bytes:
    """What comes back; nothing if the connection ends instead."""
    writer.write(line)
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            return await reader.readline()
        except ConnectionError:
            return b""


async def test_it_passes_on_what_is_said() -> None:
    async with echo_behind_proxy() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await _said(reader, writer, b"hello\n") == b"hello\n"
        writer.close()


async def test_a_cut_ends_what_is_open_and_lets_new_connections_through() -> None:
    async with echo_behind_proxy() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await _said(reader, writer, b"hello\n")
        proxy.cut()
        assert await _said(reader, writer, b"anybody?\n") == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await _said(reader, writer, b"again\n") == b"again\n"
        writer.close()


async def test_what_it_swallows_arrives_once_it_is_healed() -> None:
    async with echo_behind_proxy() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await _said(reader, writer, b"hello\n")
        proxy.swallow()
        waiting = asyncio.create_task(_said(reader, writer, b"late\n"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        proxy.heal()
        assert await waiting == b"late\n"
        writer.close()


async def test_it_loses_the_answer_to_a_fateful_word_alone() -> None:
    async with echo_behind_proxy() as proxy:
        proxy.lose_answers_to(lambda said: b"COMMIT" in said)
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await _said(reader, writer, b"BEGIN\n") == b"BEGIN\n"
        assert await _said(reader, writer, b"COMMIT\n") == b""
        assert proxy.lost_answers == 1
