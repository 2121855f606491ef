"""Runs attacks one after the other on one target, and judges each by what the honest user saw."""

import os
import random
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from attacks.honest import Seen
from attacks.scene import ATTACKS, Attack, Scene
from attacks.target import Target
from chaos.arena import Skipped
from chaos.load import percentile
from chaos.oracle import unrest
from chaos.rig import NotWell

HEADER = (
    f"{'attack':<11}{'placed':>7}{'refused':>8}{'lost':>6}{'POST p50':>10}{'p99':>9}{'reads refused':>15}{'load':>6}"
    "  verdict"
)
BAR_SECONDS = 1.0  # p99 of an honest POST, on two cores that do nothing else
SETTLE_SECONDS = 180.0
LOST = """
    SELECT wanted.id, coalesce(status, 'gone') FROM unnest(%s::bigint[]) AS wanted(id)
    LEFT JOIN orders_journey ON order_id = wanted.id WHERE status IS DISTINCT FROM 'confirmed' ORDER BY 1
"""
SHOWN = 3


@dataclass(slots=True)
class Result:
    attack: Attack
    seen: Seen = field(default_factory=Seen)
    lost: list[tuple[int, str]] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    skipped: str = ""
    load_average: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether honest orders were placed, none was refused or lost, and nothing happened that must not."""
        return bool(self.skipped or self.seen.placed) and not (
            self.seen.refused or self.lost or self.violations
        )

    @property
    def is_over_bar(self) -> bool:
        return percentile(self.seen.seconds, 99) > BAR_SECONDS

    def line(self) -> str:
        if self.skipped:
            return f"{self.attack.name:<11}skipped: {self.skipped}"
        p50, p99 = (f"{percentile(self.seen.seconds, percent) * 1000:.0f} ms" for percent in (50, 99))
        refused_reads = f"{len(self.seen.reads_refused)}/{self.seen.reads}"
        verdict = ("good" if self.is_good else "NOT GOOD") + (", over bar" if self.is_over_bar else "")
        got = ", ".join([*self.notes, *(f"{count}x {what}" for what, count in self.answers.most_common(5))])
        return (
            f"{self.attack.name:<11}{len(self.seen.placed):>7}{len(self.seen.refused):>8}{len(self.lost):>6}"
            f"{p50:>10}{p99:>9}{refused_reads:>15}{self.load_average:>6.1f}  {verdict}"
            f"  ({self.attack.title}{': ' if got else ''}{got})"
        )


class Campaign:
    """A target, a seed, and the attacks that were made."""

    def __init__(self, target: Target, *, seed: int, seconds: float, say: Callable[[str], None]) -> None:
        self._target, self._seed, self._seconds, self._say = target, seed, seconds, say
        self.results: list[Result] = []
        self.audit_failed = False

    async def run(self, names: list[str]) -> None:
        for name in names:
            result = await self._run_one(ATTACKS[name])
            self.results.append(result)
            self._say(result.line())
            for violation in self._complaints(result):
                self._say(f"    {violation}")

    async def audit(self) -> str:
        """Compare the whole ledger with the provider's; return what the audit reports."""
        status, said = await self._target.manage("audit")
        self.audit_failed = status != 0
        return said.strip()

    async def _run_one(self, attack: Attack) -> Result:
        seed = f"{attack.name}/{self._seed}"
        scene = Scene(self._target, random.Random(seed), self._seconds, seed)
        result = Result(attack)
        try:
            await attack.act(scene)
        except Skipped as skipped:
            result.skipped = str(skipped)
        except Exception as error:  # noqa: BLE001 - an attack that breaks is a finding, the next ones still run
            result.violations.append(f"the attack itself failed: {error!r}\n{traceback.format_exc()[-1500:]}")
        result.load_average = os.getloadavg()[0]
        try:
            await self._target.restore()
        except NotWell as error:
            result.violations.append(str(error))
        result.seen, result.answers, result.notes = scene.seen, scene.answers, scene.notes
        result.violations += scene.violations
        await self._settle(result)
        return result

    async def _settle(self, result: Result) -> None:
        """Every order comes to rest, the attackers' as well; those of the honest user are confirmed."""
        if not await self._target.until(lambda: unrest(self._target) == 0, seconds=SETTLE_SECONDS):
            result.violations.append(
                f"{unrest(self._target)} orders are not at rest after {SETTLE_SECONDS:.0f} s"
            )
        result.lost = [(int(i), str(s)) for i, s in self._target.rows(LOST, result.seen.placed)]

    def _complaints(self, result: Result) -> list[str]:
        lost = [f"order {order_id} is {status}" for order_id, status in result.lost[:SHOWN]]
        reads = [f"read refused: {told}" for told in result.seen.reads_refused[:SHOWN]]
        return [
            *result.violations,
            *(f"refused: {told}" for told in result.seen.refused[:SHOWN]),
            *lost,
            *reads,
        ]
