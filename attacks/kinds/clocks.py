"""A machine's clock that is ahead, and is then put right."""

import asyncio
import tempfile
from pathlib import Path

from attacks.scene import Scene, attack
from chaos.clock import Clock

DAYS_AHEAD = 3
SETTLE_SECONDS = 30.0
AHEAD = "SELECT name FROM django_celery_beat_periodictask WHERE last_run_at > now() + interval '1 hour'"


@attack(
    "clock",
    f"the clock of all processes is {DAYS_AHEAD} days ahead for half of the time, then it is put right",
)
async def clock(scene: Scene) -> None:
    target = scene.target
    clock = await asyncio.to_thread(Clock, Path(tempfile.mkdtemp(dir=target.folder)))
    names = [name for name in target.base if name not in ("sandbox", "proxy")]
    await target.restart(*names, **clock.variables)
    await target.until_ready()
    async with scene.honest():
        clock.shift(DAYS_AHEAD * 24 * 3600)
        await asyncio.sleep(scene.seconds / 2)
        clock.shift(0)
        await asyncio.sleep(scene.seconds / 2)
    await target.until(lambda: not target.rows(AHEAD), seconds=SETTLE_SECONDS)
    late = [name for (name,) in await asyncio.to_thread(target.rows, AHEAD)]
    scene.expect(not late, f"these wait for the day that the clock showed: {', '.join(late)}")
