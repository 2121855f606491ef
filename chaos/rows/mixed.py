"""Two faults at once, and the simulation."""

import asyncio
import itertools
import subprocess
import sys

from chaos.arena import ROWS, Arena, Skipped, row
from chaos.rig import ROOT

PAIRED = ("F7", "F14", "F21", "F28", "F33")


@row("F46", "two faults at once: three pairs of F7, F14, F21, F28, F33", within=90)
async def f46(arena: Arena) -> None:
    pairs = arena.dice.sample(list(itertools.combinations(PAIRED, 2)), 3)
    for pair in pairs:
        arena.notes.append("+".join(pair))
        await both(arena, *pair)


async def both(arena: Arena, *names: str) -> None:
    """Run rows together. One breaking what another needs is no failure."""
    results = await asyncio.gather(*(ROWS[name].inject(arena) for name in names), return_exceptions=True)
    for name, result in zip(names, results, strict=True):
        if isinstance(result, Exception):
            arena.notes.append(f"{name} was cut short by {type(result).__name__}")


@row("F48", "the simulation: a crash at every step, seed by seed", rate=0)
async def f48(arena: Arena) -> None:
    if not (ROOT / "tests" / "simulation" / "__main__.py").exists():
        raise Skipped("there is no simulation here")
    argv = [sys.executable, "-m", "tests.simulation", "--orders", "50000"]
    done = await asyncio.to_thread(
        subprocess.run, argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    arena.notes.append((done.stdout.strip().splitlines() or ["it said nothing"])[-1][:80])
    arena.expect(done.returncode == 0, f"the simulation found: {(done.stdout + done.stderr)[-800:]}")
