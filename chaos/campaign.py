"""Runs rows on one rig, and reports each."""

import asyncio
import os
import random
import time
import traceback
from dataclasses import dataclass, field

from chaos.arena import ROWS, Arena, Row, Skipped
from chaos.load import Load, percentile
from chaos.oracle import Finding, judge, spread
from chaos.rig import NotWell, Rig

HEADER = (
    f"{'row':<9}{'orders':>7}{'faults':>7}{'resumed p50/p99/max':>21}{'at rest p50/p99/max':>21}"
    f"{'POST p99':>10}{'load':>6}  verdict"
)


@dataclass(slots=True)
class Result:
    row: Row
    finding: Finding = field(default_factory=Finding)
    faults: int = 0
    notes: list[str] = field(default_factory=list)
    skipped: str = ""
    load_average: float = 0.0
    seconds: float = 0.0
    over_bars: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.finding.violations

    def line(self) -> str:
        if self.skipped:
            return f"{self.row.name:<9}skipped: {self.skipped}"
        found = self.finding
        post = f"{percentile(found.post, 99) * 1000:.0f} ms" if found.post else "-"
        verdict = "good" if self.is_good else f"{len(found.violations)} VIOLATIONS"
        verdict += ", OVER BAR" if self.over_bars else ""
        people = f", {found.before_a_person} before a person" if found.before_a_person else ""
        return (
            f"{self.row.name:<9}{found.orders:>7}{self.faults:>7}{spread(found.resumed):>21}"
            f"{spread(found.recovered):>21}{post:>10}{self.load_average:>6.1f}  {verdict}{people}"
            f"  ({self.row.title}{'; ' if self.notes else ''}{'; '.join(self.notes)})"
        )


class Campaign:
    """A rig, a seed, and the results so far."""

    def __init__(self, rig: Rig, *, seed: int, orders: int, scale: float = 1.0, say: object = print) -> None:
        self.rig, self.seed, self.orders, self.scale = rig, seed, orders, scale
        self._say = say
        self.rate = 1.0  # factor of each row's rate
        self.results: list[Result] = []

    async def run(self, names: list[str]) -> None:
        for name in names:
            self.results.append(await self.run_row(ROWS[name], f"{name}/{self.seed}"))

    async def run_row(self, row: Row, seed: str) -> Result:
        """Run a row: load, faults, recovery, verdict. Reproducible by seed."""
        began, result = time.monotonic(), Result(row)
        arena = await self._arena(row, seed)
        try:
            result.finding = await self._play(arena, row)
        except Skipped as skipped:
            result.skipped = str(skipped)
        except Exception as error:  # noqa: BLE001 - a broken row is a finding; the next rows still run
            result.finding.violations.append(
                f"the row itself failed: {error!r}\n{traceback.format_exc()[-1500:]}"
            )
        await arena.load.stop()
        await self._recover()
        result.faults, result.notes = len(arena.faults), arena.notes
        result.over_bars = _bars(row, result.finding)
        result.load_average, result.seconds = os.getloadavg()[0], time.monotonic() - began
        self._report(result)
        return result

    async def _arena(self, row: Row, seed: str) -> Arena:
        dice = random.Random(seed)
        skus = await asyncio.to_thread(
            self.rig.rows,
            "SELECT sku FROM inventory_product JOIN inventory_stockitem ON product_id = id"
            " WHERE active AND on_hand - reserved > 2000 ORDER BY id",
        )
        tag = f"{row.name}-{_letters(int(time.time()))}"
        load = Load(self.rig.web_ports, random.Random(f"{seed}/load"), tag=tag, skus=[sku for (sku,) in skus])
        folder = self.rig.folder / "rows" / tag
        await asyncio.to_thread(folder.mkdir, parents=True)
        return Arena(self.rig, load, dice, folder, self.scale)

    async def _play(self, arena: Arena, row: Row) -> Finding:
        last = await asyncio.to_thread(self.rig.rows, "SELECT coalesce(max(id), 0) FROM orders_order")
        if row.rate:
            arena.load.start(rate=row.rate * self.rate)
            await asyncio.sleep(1.0)
        await row.inject(arena)
        await self._restored(arena)
        await arena.load.stop(at_least=self.orders if row.rate else 0)
        healed_at = time.time()
        finding = await judge(
            self.rig,
            arena.load,
            faults=arena.faults,
            healed_at=healed_at,
            within=row.within,
            first_order=int(last[0][0]) + 1,
        )
        finding.violations += arena.violations
        if row.may_be_late:
            finding.violations = [v for v in finding.violations if "took over 5 s" not in v]
        return finding

    async def _restored(self, arena: Arena) -> None:
        """Remove all faults; a process that does not recover is a violation."""
        try:
            await self.rig.restore()
        except NotWell as error:
            arena.violations.append(f"I8: {error}")

    async def _recover(self) -> None:
        await self.rig.restore()
        await self.rig.sandbox("DELETE", "/faults")

    def _report(self, result: Result) -> None:
        say = self._say
        assert callable(say)
        say(result.line())
        for violation in result.finding.violations + result.over_bars:
            say(f"    {violation}")
        if not result.is_good and not result.skipped:
            say(
                f"    again: python -m chaos --rows {result.row.name} --seed {self.seed} --orders {self.orders}"
            )
            say(f"    logs:  {self.rig.folder}")


def _bars(row: Row, finding: Finding) -> list[str]:
    broken = []
    if row.resumed_bar and finding.resumed:
        p99, longest = row.resumed_bar
        if percentile(finding.resumed, 99) > p99 or finding.resumed[-1] > longest:
            broken.append(
                f"bar: resumed p50/p99/max {spread(finding.resumed)} s, allowed p99 {p99}, max {longest}"
            )
    if row.post_bar and percentile(finding.post, 99) > row.post_bar:
        broken.append(
            f"bar: POST p99 {percentile(finding.post, 99) * 1000:.0f} ms, allowed {row.post_bar * 1000:.0f}"
        )
    if row.post_longest and finding.post and finding.post[-1] > row.post_longest:
        broken.append(f"bar: the slowest answer took {finding.post[-1]:.2f} s, allowed {row.post_longest}")
    return broken


def _letters(number: int) -> str:
    """Spell digits as letters: in a customer's name they could pass for a card number."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))
