"""Rows of the fault matrix and their context."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.load import Load
from chaos.rig import Rig


class Skipped(Exception):
    """The row cannot run here; the message has the reason."""


@dataclass(slots=True)
class Arena:
    """Context of a row: rig, load, RNG, faults, violations."""

    rig: Rig
    load: Load
    dice: random.Random
    folder: Path
    scale: float = 1.0  # factor of all durations
    faults: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _keys: int = 0

    def new_key(self, kind: str) -> str:
        """Return an Idempotency-Key, also the customer's name, for the row's own order."""
        self._keys += 1
        return f"{self.load.tag}-{kind}-{self._keys}"

    def struck(self) -> None:
        self.faults.append(time.time())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.scale)

    async def every(self, seconds: float, *, lasting: float) -> AsyncIterator[int]:
        """Yield 0, 1, 2, … at random intervals around `seconds`."""
        end, number = time.monotonic() + lasting * self.scale, 0
        while time.monotonic() < end:
            yield number
            number += 1
            await asyncio.sleep(seconds * self.dice.uniform(0.4, 1.6))

    def expect(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.violations.append(otherwise)

    async def providers(self, provider: str = "payments", **script: object) -> None:
        await self.rig.sandbox(
            "PUT", f"/faults/{provider}", {"seed": self.dice.randrange(1_000_000)} | script
        )

    def faults_at(self, script: str) -> dict[str, str]:
        folder = self.folder / f"passages-{len(list(self.folder.glob('passages-*')))}"
        folder.mkdir(parents=True)
        return {"FAULTS": script, "FAULTS_DIR": str(folder)}


Inject = Callable[[Arena], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    title: str
    inject: Inject
    within: float = 30.0  # seconds from last fault to rest
    rate: float = 12.0  # orders per second; 0: the row makes its own load
    resumed_bar: tuple[float, float] | None = None  # p99 and max seconds from fault to next event
    post_bar: float | None = None  # p99 seconds of an answer
    post_longest: float | None = None  # seconds of the slowest answer
    may_be_late: bool = False  # the web process itself is hit


ROWS: dict[str, Row] = {}


def row(name: str, title: str, **bars: object) -> Callable[[Inject], Inject]:
    def enter(inject: Inject) -> Inject:
        ROWS[name] = Row(name, title, inject, **bars)  # type: ignore[arg-type]
        return inject

    return enter
