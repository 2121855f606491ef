"""Clients that mean no good: they hurry, they drip, or they do not read."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from attacks.scene import Scene
from attacks.target import headers_of
from chaos.client import NoAnswer

SMALL_BUFFER = 4096
RECONNECT_SECONDS = 0.2


async def hurry(
    scene: Scene, path: Callable[[], str], *, method: str = "GET", token: Callable[[], str] = str,
    address: Callable[[], str] = lambda: "192.0.2.66", body: Callable[[], Any] = lambda: None,
) -> None:  # fmt: skip
    """Send one request after the other, each as soon as the last is answered."""
    while True:
        try:
            answer = await scene.target.call(method, path(), token=token(), address=address(), body=body())
            scene.answers[str(answer.status)] += 1
        except (NoAnswer, TimeoutError):
            scene.answers["none"] += 1
            await asyncio.sleep(RECONNECT_SECONDS)


def head_of(scene: Scene, method: str, path: str, token: str, **more: str) -> bytes:
    """Return a request's head, without the blank line that ends it."""
    headers = {"Host": f"127.0.0.1:{scene.target.port}"} | headers_of(token, "192.0.2.66") | more
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n"


async def drip(scene: Scene, beginning: bytes, piece: bytes, *, pause: float) -> None:
    """Send the beginning, and then a small piece now and then; connect again whenever that is cut off."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.target.port)
            try:
                writer.write(beginning)
                answered = asyncio.create_task(_first_line(reader, scene.answers))
                while not reader.at_eof():
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
                answered.cancel()
            finally:
                writer.transport.abort()
        scene.answers["cut off"] += 1
        await asyncio.sleep(RECONNECT_SECONDS)


async def _first_line(reader: asyncio.StreamReader, answers: Counter[str]) -> None:
    with contextlib.suppress(OSError, ValueError):
        line = await reader.readline()
        answers[(line.split() or [b"", b"none"])[1].decode()] += 1
        while await reader.read(SMALL_BUFFER):
            pass


async def read_slowly(scene: Scene, request: bytes, *, pause: float) -> None:
    """Ask, and read a byte of the answer now and then; ask again when it ends."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await _narrow_connection(scene.target.port)
            try:
                writer.write(request)
                beginning = await reader.read(12)
                scene.answers[beginning[9:].decode(errors="replace") or "none"] += 1
                while await reader.read(1):
                    await asyncio.sleep(pause)
            finally:
                writer.transport.abort()
        await asyncio.sleep(RECONNECT_SECONDS)


async def pour_unread(scene: Scene, request: bytes, piece: bytes) -> None:
    """Send the same chunk again and again, as fast as it is taken, and read nothing."""
    while True:
        with contextlib.suppress(OSError):
            _, writer = await _narrow_connection(scene.target.port)
            try:
                writer.write(request)
                while True:
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    await writer.drain()
                    scene.answers["KB taken"] += len(piece) // 1000
            finally:
                writer.transport.abort()
        await asyncio.sleep(RECONNECT_SECONDS)


async def _narrow_connection(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection whose buffers on our side are as small as they can be."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    raw.setblocking(False)  # noqa: FBT003
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=raw, limit=64)
