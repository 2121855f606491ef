"""An honest user: places orders at random moments, follows the latest one, lists them, and notes every answer."""

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from chaos.client import Answer, NoAnswer, call

PATIENCE_SECONDS = 30.0
READ_EVERY_SECONDS = 1.0


@dataclass(slots=True)
class Seen:
    """What an honest user saw; `seconds` of every POST in ascending order, `refused` with what it was answered."""

    placed: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    reads: int = 0
    reads_refused: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Order:
    """Who orders what, how often, and where."""

    port: int
    token: str
    sku: str
    seed: str
    rate: float = 4.0  # orders a second
    address: str = "198.51.100.7"


class Honest:
    """Places orders until it is stopped. Orders go out however fast they are answered."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._dice = random.Random(order.seed)
        self._under_way: set[asyncio.Task[None]] = set()
        self.seen = Seen()

    async def run(self, over: asyncio.Event) -> Seen:
        """Go on until it is over; return what was seen once every request has its answer."""
        reading = asyncio.create_task(self._read(over))
        while not over.is_set():
            task = asyncio.create_task(self._place())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(self._dice.expovariate(self._order.rate))
        await asyncio.gather(reading, *self._under_way)
        self.seen.seconds.sort()
        return self.seen

    async def _place(self) -> None:
        body = {"customerName": "Honest", "items": [{"sku": self._order.sku, "quantity": 1}]}
        began = time.monotonic()
        answer = await self._call("POST", "/api/orders", body)
        self.seen.seconds.append(time.monotonic() - began)
        if isinstance(answer, Answer) and answer.status == 201:
            self.seen.placed.append(int(answer.json()["orderId"]))
        else:
            self.seen.refused.append(_told(answer))

    async def _read(self, over: asyncio.Event) -> None:
        while not over.is_set():
            paths = ["/api/orders"] + [f"/api/orders/{order_id}" for order_id in self.seen.placed[-1:]]
            for path in paths:
                answer = await self._call("GET", path)
                self.seen.reads += 1
                if not isinstance(answer, Answer) or answer.status != 200:
                    self.seen.reads_refused.append(_told(answer))
            await asyncio.sleep(READ_EVERY_SECONDS)

    async def _call(self, method: str, path: str, body: Any = None) -> Answer | Exception:
        headers = {
            "Authorization": f"Token {self._order.token}",
            "X-Forwarded-For": self._order.address,
        }
        try:
            return await call(
                self._order.port, method, path, body=body, headers=headers, timeout=PATIENCE_SECONDS
            )
        except (NoAnswer, TimeoutError) as error:
            return error


def _told(answer: Answer | Exception) -> str:
    if isinstance(answer, Answer):
        return f"{answer.status} {answer.body[:200].decode(errors='replace')}"
    return f"no answer: {answer!r}"


async def _main() -> None:
    over = asyncio.Event()
    running = asyncio.create_task(Honest(Order(**json.loads(sys.argv[1]))).run(over))
    await asyncio.to_thread(sys.stdin.read)
    over.set()
    print(json.dumps(asdict(await running)))  # noqa: T201 - to the campaign, which reads it


if __name__ == "__main__":
    asyncio.run(_main())
