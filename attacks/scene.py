"""What an attack is, and what it gets to work with."""

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from attacks.honest import Order, Seen
from attacks.target import Target
from chaos.rig import ROOT

UNITS = 1_000_000
FINISH_SECONDS = 90.0
HEAD_START_SECONDS = 0.5  # of the honest user, whose interpreter has to start


@dataclass(slots=True)
class Scene:
    """The target, the random numbers of this attack, and what is noted of it."""

    target: Target
    dice: random.Random
    seconds: float
    seed: str
    seen: Seen = field(default_factory=Seen)
    answers: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def honest(self, *, sku: str = "") -> AsyncIterator[None]:
        """An honest user orders for as long as the block runs; of `sku`, or of a product that no attacker orders."""
        order = Order(
            port=self.target.port,
            token=await self.target.account("honest"),
            sku=sku or await self.target.product(units=UNITS),
            seed=self.seed,
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "attacks.honest", json.dumps(asdict(order)),
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            await asyncio.sleep(HEAD_START_SECONDS)
            yield
            async with asyncio.timeout(FINISH_SECONDS):
                said, _ = await process.communicate(b"")
            self.seen = Seen(**json.loads(said))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def together(self, attackers: Iterable[Coroutine[Any, Any, None]], *, share: float = 1.0) -> None:
        """Have attackers act side by side for this share of the time. Raises what one of them ends with."""
        tasks = [asyncio.create_task(attacker) for attacker in attackers]
        done, pending = await asyncio.wait(tasks, timeout=self.seconds * share)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    def expect(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.violations.append(otherwise)


Act = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack by its name; what it does is its title."""

    name: str
    title: str
    act: Act


ATTACKS: dict[str, Attack] = {}


def attack(name: str, title: str) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        ATTACKS[name] = Attack(name, title, act)
        return act

    return enter
