"""Customers: they order with Idempotency-Keys, retry until answered, and record the answers for the oracle."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chaos.client import Answer, NoAnswer, call

ATTEMPT_SECONDS = 10.0
# After this long a customer gives up, the order's state unknown.
PATIENCE_SECONDS = 90.0
LONGEST_PAUSE = 2.0
BULK_LINES = 100
BULK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request: start in Unix time, outcome, duration."""

    at: float
    what: str  # the status, "no answer" or "timeout"
    seconds: float
    retry_after: bool
    late_allowed: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """A kind of order, and the customer's next step."""

    name: str
    share: float
    more: dict[str, Any] = field(default_factory=dict)
    then: str = ""


MIX = (
    Wish("good", 0.66),
    Wish("declined", 0.08, {"payment": {"token": "tok_declined"}}),
    Wish("short", 0.05),
    Wish("unshippable", 0.05, {"shippingAddress": {"country": "AQ"}}),
    Wish("cancelled", 0.08, then="cancel"),
    Wish("completed", 0.08, then="complete"),
)
# More than is ever in stock.
SHORT = {"sku": "COM-102", "quantity": 900}


class Load:
    """A stream of orders through the web processes."""

    def __init__(self, ports: list[int], dice: random.Random, *, tag: str, skus: list[str]) -> None:
        self._ports, self._dice, self._skus = ports, dice, skus
        self.tag = tag
        self.attempts: list[Attempt] = []
        self.accepted: dict[str, int] = {}  # by key
        self.bodies: dict[str, dict[str, Any]] = {}
        self.first_answers: dict[str, bytes] = {}
        self.wishes: Counter[str] = Counter()
        self.violations: list[str] = []
        self.given_up = 0
        self._avoided: int | None = None
        self._number = 0
        self._under_way: set[asyncio.Task[None]] = set()
        self._stream: asyncio.Task[None] | None = None

    # --- A stream -----------------------------------------------------------------------------------------

    def start(self, *, rate: float) -> None:
        """Start placing orders at this rate, however fast the answers."""
        self._stream = asyncio.create_task(self._flow(rate))

    async def stop(self, *, at_least: int = 0) -> None:
        """Stop at `at_least` orders; wait for pending requests."""
        if self._stream:
            while self._number < at_least:
                await asyncio.sleep(0.05)
            self._stream.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)

    def avoid(self, number: int | None) -> None:
        """Send to other web processes only, like a load balancer; None ends it."""
        self._avoided = number

    async def _flow(self, rate: float) -> None:
        while True:
            self._begin(self.order())
            await asyncio.sleep(self._dice.expovariate(rate))

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    # --- One order ----------------------------------------------------------------------------------------

    async def order(self, wish: Wish | None = None, **more: Any) -> None:
        wish = wish or self._wish()
        key, body = self._order(wish)
        order_id = await self.place(key, body | more)
        if order_id is not None and wish.then:
            await asyncio.sleep(self._dice.uniform(0, 1.0))
            await self.ask(order_id, wish.then)

    def _wish(self) -> Wish:
        return self._dice.choices(MIX, [wish.share for wish in MIX])[0]

    def _order(self, wish: Wish) -> tuple[str, dict[str, Any]]:
        item = SHORT if wish.name == "short" else self._item()
        self._number += 1
        key = f"{self.tag}-{self._number}"
        self.wishes[wish.name] += 1
        return key, {"customerName": key, "items": [item]} | wish.more

    def _item(self) -> dict[str, Any]:
        return {"sku": self._dice.choice(self._skus), "quantity": self._dice.randint(1, 2)}

    async def place(self, key: str, body: dict[str, Any]) -> int | None:
        """Return the order's id; None if the customer gave up."""
        self.bodies[key] = body
        answer = await self._insist("/api/orders", body, key, is_final=lambda answer: answer.status < 500)
        if answer is None:
            return None
        if answer.status not in (200, 201):
            self.violations.append(f"{key}: a good order was answered {answer.status} {answer.body[:200]!r}")
            return None
        self.accepted[key] = int(answer.json()["orderId"])
        self.first_answers[key] = answer.body
        return self.accepted[key]

    async def ask(self, order_id: int, what: str) -> None:
        answer = await self._insist(
            f"/api/orders/{order_id}/{what}", None, f"{self.tag}-{what}-{order_id}", lambda a: a.status < 500
        )
        if answer is not None and answer.status not in (200, 202, 409):
            self.violations.append(f"{what} of order {order_id} was answered {answer.status}")

    async def _insist(
        self, path: str, body: Any, key: str, is_final: Callable[[Answer], bool]
    ) -> Answer | None:
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.1
        number = self._dice.randrange(len(self._ports))
        while time.monotonic() < deadline:
            number += 1
            if number % len(self._ports) == self._avoided:
                continue
            answer = await self.attempt(self._ports[number % len(self._ports)], path, body, key)
            if answer is not None and is_final(answer) and not _in_progress(answer):
                return answer
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
        self.given_up += 1
        return None

    async def attempt(self, port: int, path: str, body: Any, key: str) -> Answer | None:
        at, began, answer, what = time.time(), time.monotonic(), None, "no answer"
        try:
            answer = await call(
                port, "POST", path, body=body, headers={"Idempotency-Key": key}, timeout=ATTEMPT_SECONDS
            )
            what = str(answer.status)
        except TimeoutError:
            what = "timeout"
        except NoAnswer:
            pass
        has_hint = answer is not None and "retry-after" in answer.headers
        self.attempts.append(Attempt(at, what, time.monotonic() - began, has_hint))
        return answer

    # --- Many orders ----------------------------------------------------------------------------------------

    async def pour(self, number: int, *, lasting: float) -> None:
        for _ in range(0, number, BULK_LINES):
            self._begin(self._place_all(dict(self._order(self._wish()) for _ in range(BULK_LINES))))
            await asyncio.sleep(lasting * BULK_LINES / number)

    async def _place_all(self, orders: dict[str, dict[str, Any]]) -> None:
        deadline, pause, refusals = time.monotonic() + PATIENCE_SECONDS, 0.2, ""
        while orders and time.monotonic() < deadline:
            for key, answer in zip(list(orders), await self._send_all(orders), strict=False):
                if "orderId" in answer:
                    self.accepted[key] = int(answer["orderId"])
                    del orders[key]
                else:
                    refusals = str(answer)
            await asyncio.sleep(pause if orders else 0)
            pause = min(LONGEST_PAUSE, pause * 1.5)
        if orders:
            self.violations.append(f"{len(orders)} lines were never accepted; the last answer was {refusals}")

    async def _send_all(self, orders: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        lines = b"\n".join(json.dumps(body | {"key": key}).encode() for key, body in orders.items())
        headers = {"Content-Type": "application/x-ndjson"}
        try:
            answer = await call(
                self._dice.choice(self._ports),
                "POST",
                "/api/orders/bulk",
                body=lines,
                headers=headers,
                timeout=BULK_SECONDS,
            )
        except (NoAnswer, TimeoutError):
            return []
        return [json.loads(line) for line in answer.body.splitlines()] if answer.status == 200 else []

    # --- Results --------------------------------------------------------------------------------------------

    def answered(self) -> list[float]:
        return sorted(a.seconds for a in self.attempts if a.what.isdigit())


def _in_progress(answer: Answer) -> bool:
    return answer.status == 409 and b'"in_progress"' in answer.body


def percentile(values: list[float], percent: float) -> float:
    """Return the percentile of ascending values; 0 for none."""
    return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else 0.0
