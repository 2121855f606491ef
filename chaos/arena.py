"""What a row of the matrix is, and what it gets to work with."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.load import Load
from chaos.rig import Rig


class Skipped(Exception):
    """The row cannot be run here; the message says why."""


@dataclass(slots=True)
class Arena:
    """The rig, the load, the dice of this row, and a book of what was done to whom and when."""

    rig: Rig
    load: Load
    dice: random.Random
    folder: Path
    scale: float = 1.0  # of all durations; 1 in the campaign
    faults: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _keys: int = 0

    def new_key(self, kind: str) -> str:
        """Return an Idempotency-Key, which is the customer's name, too, of an order that a row places itself."""
        self._keys += 1
        return f"{self.load.tag}-{kind}-{self._keys}"

    def struck(self) -> None:
        """Note that a fault happens now."""
        self.faults.append(time.time())

    async def sleep(self, seconds: float) -> None:
        """Let time pass, scaled."""
        await asyncio.sleep(seconds * self.scale)

    async def every(self, seconds: float, *, lasting: float) -> AsyncIterator[int]:
        """Yield 0, 1, 2, … at random intervals around `seconds`, for so long."""
        end, number = time.monotonic() + lasting * self.scale, 0
        while time.monotonic() < end:
            yield number
            number += 1
            await asyncio.sleep(seconds * self.dice.uniform(0.4, 1.6))

    def expect(self, holds: object, otherwise: str) -> None:
        """Note a violation unless it holds."""
        if not holds:
            self.violations.append(otherwise)

    async def providers(self, provider: str = "payments", **script: object) -> None:
        """Script a provider's faults, reproducibly."""
        await self.rig.sandbox(
            "PUT", f"/faults/{provider}", {"seed": self.dice.randrange(1_000_000)} | script
        )

    def faults_at(self, script: str) -> dict[str, str]:
        """Return the variables that make a process fail at named places; passages are counted from nothing."""
        folder = self.folder / f"passages-{len(list(self.folder.glob('passages-*')))}"
        folder.mkdir(parents=True)
        return {"FAULTS": script, "FAULTS_DIR": str(folder)}


Inject = Callable[[Arena], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the matrix."""

    name: str
    title: str
    inject: Inject
    within: float = 30.0  # seconds from the end of the faults until every order is at rest
    rate: float = 12.0  # orders a second meanwhile; 0: the row makes its own load
    resumed_bar: tuple[float, float] | None = (
        None  # p99 and max seconds from a fault to the order's next event
    )
    post_bar: float | None = None  # p99 seconds of an answer
    post_longest: float | None = None  # seconds of the slowest answer
    may_be_late: bool = False  # the web process itself is hit: lateness of its answers says nothing


ROWS: dict[str, Row] = {}


def row(name: str, title: str, **bars: object) -> Callable[[Inject], Inject]:
    """Enter a function into the matrix."""

    def enter(inject: Inject) -> Inject:
        ROWS[name] = Row(name, title, inject, **bars)  # type: ignore[arg-type]
        return inject

    return enter
