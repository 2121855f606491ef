"""A small HTTP client that tells answers from silence."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, with the seconds it took."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        return json.loads(self.body)


class NoAnswer(Exception):
    """Connection refused, or closed before the answer was complete."""


async def call(
    port: int,
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: dict[str, str] | None = None,
    timeout: float = 10.0,  # noqa: ASYNC109 - part of what is measured
) -> Answer:
    """Send a request on a new connection. Raises NoAnswer, TimeoutError.

    Bytes are sent as they are, other bodies as JSON.
    """
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_request(port, method, path, body, headers or {}))
                status, found = _head(await reader.readuntil(b"\r\n\r\n"))
                content = await _body(reader, found)
            finally:
                writer.close()
    except TimeoutError:
        raise
    except (OSError, asyncio.IncompleteReadError, ValueError, IndexError) as error:
        raise NoAnswer(repr(error)) from error
    return Answer(status, found, content, time.monotonic() - began)


def _request(port: int, method: str, path: str, body: Any, headers: dict[str, str]) -> bytes:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = {
        "Host": f"127.0.0.1:{port}",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
    } | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


def _head(text: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = text.decode("latin-1").strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        return await reader.read()
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    return b"".join(parts)
