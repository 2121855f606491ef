"""`python -m bench.sockets`: many WebSockets in one cheap process.

A job as JSON on stdin. Prints `open` once all have their snapshot, at the end the messages as JSON.
"""

import asyncio
import base64
import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

AT_ONCE = 50  # handshakes in parallel
EVENT = re.compile(rb'"orderId": ?(\d+).*?"sequence": ?(\d+)')
CONFIRMED = re.compile(rb'"event": ?"order_confirmed"')
CLOSE, PING, PONG = 0x8, 0x9, 0xA


@dataclass(slots=True)
class SocketJob:
    """Paths to connect to, and confirmations to expect on each."""

    port: int
    token: str
    paths: list[str]
    confirmations: int
    seconds: float


@dataclass(slots=True)
class Told:
    """Messages as (order, sequence, time); lost and repeated ones counted."""

    messages: list[tuple[int, int, float]] = field(default_factory=list)
    lost: int = 0
    repeated: int = 0
    closed: int = 0
    listeners: int = 1  # sockets per order
    cpu_seconds: float = 0.0


class Socket(asyncio.Protocol):
    def __init__(self, job: SocketJob, path: str, done: asyncio.Semaphore) -> None:
        self._job, self.path, self._done = job, path, done
        # Set with the snapshot: every later event must arrive.
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.frames: list[tuple[float, bytes]] = []
        self.is_closed = False
        self._received = bytearray()
        self._is_upgraded = False
        self._confirmed = 0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self._job.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Token {self._job.token}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._is_upgraded or self._take_upgrade():
            self._take_frames(time.time())

    def _take_upgrade(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end >= 0 and b" 101 " not in self._received[:20]:
            self.joined.set_exception(ConnectionError(bytes(self._received[:200]).decode()))
        elif end >= 0:
            del self._received[: end + 4]
            self._is_upgraded = True
        return self._is_upgraded

    def _take_frames(self, now: float) -> None:
        while len(self._received) >= 2:
            length, start = self._received[1] & 0x7F, 2
            if length == 126:
                length, start = int.from_bytes(self._received[2:4], "big"), 4
            if len(self._received) < start + length:
                return
            self._take(now, self._received[0] & 0x0F, bytes(self._received[start : start + length]))
            del self._received[: start + length]

    def _take(self, now: float, kind: int, payload: bytes) -> None:
        if kind == CLOSE:
            self.is_closed = True
        elif kind == PING:
            self._transport.write(bytes([0x80 | PONG, 0x80 | len(payload)]) + bytes(4) + payload)
        else:
            self._keep(now, payload)

    def _keep(self, now: float, payload: bytes) -> None:
        self.frames.append((now, payload))
        if not self.joined.done():
            self.joined.set_result(None)
        if CONFIRMED.search(payload):
            self._confirmed += 1
            if self._confirmed == self._job.confirmations:
                self._done.release()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        if not self.joined.done():
            self.joined.set_exception(error or ConnectionError("closed"))


async def listen(job: SocketJob) -> Told:
    """Collect messages until all are confirmed or time is up."""
    done, gate = asyncio.Semaphore(0), asyncio.Semaphore(AT_ONCE)

    async def connect(path: str) -> Socket:
        async with gate:
            _, socket = await asyncio.get_running_loop().create_connection(
                lambda: Socket(job, path, done), "127.0.0.1", job.port
            )
            await asyncio.wait_for(socket.joined, 30)
            return socket

    sockets = await asyncio.gather(*(connect(path) for path in job.paths))
    print("open", flush=True)
    cpu, end = time.process_time(), time.monotonic() + job.seconds
    for _ in sockets:
        try:
            await asyncio.wait_for(done.acquire(), max(0.001, end - time.monotonic()))
        except TimeoutError:
            break
    told = _told(sockets)
    told.cpu_seconds = time.process_time() - cpu
    return told


def _told(sockets: list[Socket]) -> Told:
    shared = len({socket.path for socket in sockets}) == 1
    told = Told(closed=sum(socket.is_closed for socket in sockets), listeners=len(sockets) if shared else 1)
    for socket in sockets:
        seen: dict[int, int] = {}
        for at, payload in socket.frames:
            found = EVENT.search(payload)
            if found is None or b"OrderSnapshot" in payload[:40]:
                continue
            order_id, sequence = int(found[1]), int(found[2])
            expected = seen.get(order_id, sequence - 1) + 1
            told.lost += max(0, sequence - expected)
            told.repeated += sequence < expected
            seen[order_id] = sequence
            told.messages.append((order_id, sequence, at))
    return told


def main() -> None:
    told = uvloop.run(listen(SocketJob(**json.loads(sys.stdin.readline()))))
    json.dump(asdict(told), sys.stdout)


if __name__ == "__main__":
    main()
