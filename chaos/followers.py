"""Clients of the live feed that keep reconnecting and must miss and repeat nothing."""

import asyncio
import contextlib
import json
import random
from collections import Counter
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from chaos.rig import Rig

RETRY_SECONDS = 0.1
CATCH_UP_SECONDS = 30.0


class Follower:
    """Follows the demo customer's orders from now on."""

    def __init__(self, rig: Rig, dice: random.Random, *, reconnect_every: float = 0.0) -> None:
        self._rig, self._dice, self._every = rig, dice, reconnect_every
        self.position = ""
        self.seen: Counter[tuple[int, int]] = Counter()
        self.order_of_sight: list[tuple[int, int]] = []
        self.connects = 0
        self.paused = asyncio.Event()
        self.paused.set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._follow())
        async with asyncio.timeout(60):
            while not self.position:
                await asyncio.sleep(0.02)
        self._from = self.position

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(OSError, WebSocketException, InvalidHandshake, TimeoutError):
                async with asyncio.timeout(self._lifetime()):
                    await self._once()
            await asyncio.sleep(RETRY_SECONDS)

    def _lifetime(self) -> float | None:
        return self._every * self._dice.uniform(0.5, 1.5) if self._every else None

    async def _once(self) -> None:
        after = f"?after={self.position}" if self.position else ""
        url = f"ws://127.0.0.1:{self._rig.live_port}/ws/orders{after}"
        async with connect(
            url, compression=None, proxy=None, max_queue=None if self.paused.is_set() else 1
        ) as socket:
            self.connects += 1
            async for frame in socket:
                self._note(json.loads(frame))
                await self.paused.wait()

    def _note(self, message: dict[str, Any]) -> None:
        if "position" in message:
            self.position = message["position"]
        if "sequence" in message:
            event = (int(message["orderId"]), int(message["sequence"]))
            self.seen[event] += 1
            self.order_of_sight.append(event)

    async def violations(self) -> list[str]:
        expected: list[tuple[int, int]] = []

        def has_all() -> bool:
            expected[:] = self._journal()
            return set(expected) <= set(self.seen)

        await self._rig.until(has_all, seconds=CATCH_UP_SECONDS)
        missed = set(expected) - set(self.seen)
        repeated = [event for event, times in self.seen.items() if times > 1]
        found = (
            [f"I6: missed {len(missed)} of {len(expected)} events, such as {sorted(missed)[:3]}"]
            if missed
            else []
        )
        found += (
            [f"I6: {len(repeated)} events were delivered twice, such as {repeated[:3]}"] if repeated else []
        )
        return found + self._misplaced()

    def _journal(self) -> list[tuple[int, int]]:
        transaction, order, sequence = (int(part) for part in self._from.split("-"))
        return [
            (int(row[0]), int(row[1]))
            for row in self._rig.rows(
                "SELECT order_id, sequence FROM orders_orderevent JOIN orders_order o ON o.id = order_id"
                " WHERE (transaction_id, order_id, sequence) > (%s, %s, %s)"
                " AND owner_id = (SELECT id FROM auth_user WHERE username = 'demo')",
                transaction,
                order,
                sequence,
            )
        ]

    def _misplaced(self) -> list[str]:
        last: dict[int, int] = {}
        for order_id, sequence in self.order_of_sight:
            if sequence <= last.get(order_id, 0):
                return [f"I6: order {order_id} got event {sequence} after {last[order_id]}"]
            last[order_id] = sequence
        return []
