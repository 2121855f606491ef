"""`python -m bench.load`: a cheap load generator, its own process so that its CPU counts apart.

Minimal HTTP/1.1. A job as JSON on stdin, the result as JSON on stdout.
"""

import asyncio
import json
import random
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

from bench.wanted import random_body

BODIES = 2000


@dataclass(slots=True)
class Job:
    """What to send; with `rate` 0, as fast as answers come."""

    port: int
    path: str
    tokens: list[str]
    seconds: float
    connections: int = 8
    rate: float = 0.0
    lines: int = 0  # per bulk request; 0: single orders
    content_type: str = "application/json"


@dataclass(slots=True)
class Tally:
    """The result. `milliseconds` run from sending, or at a rate from the due time."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    orders: int = 0
    milliseconds: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    error: str = ""


class Connection(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answered: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._answered and (answer := _parse_answer(self._received)):
            self._received.clear()
            self._answered.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_exception(error or ConnectionResetError("closed"))

    async def send(self, request: bytes) -> tuple[int, bytes]:
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered


def _parse_answer(received: bytearray) -> tuple[int, bytes] | None:
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(received[:end]).lower()
    status = int(head[9:12])
    if b"transfer-encoding: chunked" in head:
        return (status, bytes(received[end + 4 :])) if received.endswith(b"\r\n0\r\n\r\n") else None
    at = head.find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return (status, bytes(received[end + 4 :])) if len(received) >= end + 4 + length else None


class Generator:
    def __init__(self, job: Job) -> None:
        self._job, self._tally = job, Tally()
        rng = random.Random(1)  # noqa: S311 - the same orders each time
        self._bodies = [random_body(rng) for _ in range(BODIES)]
        self._run, self._sent = secrets.token_hex(4), 0
        self._heads = [
            f"POST {job.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Token {token}\r\n"
            f"Content-Type: {job.content_type}\r\n".encode()
            for token in job.tokens
        ]
        self._make: Callable[[], bytes] = self._bulk_request if job.lines else self._single_request

    async def run(self) -> Tally:
        loop = asyncio.get_running_loop()
        connections = [
            (await loop.create_connection(Connection, "127.0.0.1", self._job.port))[1]
            for _ in range(self._job.connections)
        ]
        cpu, started = time.process_time(), time.perf_counter()
        end = started + self._job.seconds
        if self._job.rate:
            await self._at_a_rate(connections, started, end)
        else:
            await asyncio.gather(*(self._one_after_another(each, end) for each in connections))
        self._tally.seconds = time.perf_counter() - started
        self._tally.cpu_seconds = time.process_time() - cpu
        return self._tally

    async def _one_after_another(self, connection: Connection, end: float) -> None:
        while time.perf_counter() < end:
            await self._send(connection, time.perf_counter())

    async def _at_a_rate(self, connections: list[Connection], started: float, end: float) -> None:
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for connection in connections:
            free.put_nowait(connection)
        tasks = []
        for number in range(int(self._job.rate * (end - started))):
            due = started + number / self._job.rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._send_with(free, due)))
        await asyncio.gather(*tasks)

    async def _send_with(self, free: asyncio.Queue[Connection], due: float) -> None:
        connection = await free.get()
        await self._send(connection, due)
        free.put_nowait(connection)

    async def _send(self, connection: Connection, since: float) -> None:
        request = self._make()
        status, body = await connection.send(request)
        self._tally.milliseconds.append((time.perf_counter() - since) * 1000)
        self._tally.statuses[str(status)] = self._tally.statuses.get(str(status), 0) + 1
        if self._job.lines:
            self._tally.orders += body.count(b'"orderId"') or (self._job.lines if status == 201 else 0)
        else:
            self._tally.orders += status == 201

    def _single_request(self) -> bytes:
        self._sent += 1
        body = self._bodies[self._sent % BODIES]
        head = self._heads[self._sent % len(self._heads)]
        key = f"{self._run}-{self._sent}"
        return head + f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def _bulk_request(self) -> bytes:
        self._sent += 1
        lines = [self._bodies[(self._sent * 7 + n) % BODIES] for n in range(self._job.lines)]
        as_json = self._job.content_type == "application/json"
        body = b"[" + b",".join(lines) + b"]" if as_json else b"\n".join(lines) + b"\n"
        head = self._heads[self._sent % len(self._heads)]
        return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    job = Job(**json.load(sys.stdin))
    tally = Tally()
    try:
        tally = uvloop.run(Generator(job).run())
    except OSError as error:
        tally.error = repr(error)
    json.dump(asdict(tally), sys.stdout)


if __name__ == "__main__":
    main()
