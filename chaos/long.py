"""Long mode: kills many workers, and servers in proportion.

Each round is a row with a verdict over all orders so far. Rounds of several runs and seeds add up.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from chaos.arena import Arena, Row
from chaos.campaign import Campaign
from chaos.followers import Follower
from chaos.oracle import unrest
from chaos.rig import STEP_WORKERS

ROUND = 50  # killed workers per round
WORKERS_FOR_A_SERVER = 10  # per killed PostgreSQL and Valkey
ORDERS_FOR_A_WORKER = 100
PAUSE_SECONDS = 2.0  # mean time between kills
REST_SECONDS = 180.0
START_SECONDS = 20.0
UP = 2  # victims are among the two workers up the longest

Say = Callable[[str], None]


async def kill(campaign: Campaign, *, workers: int, say: Say) -> None:
    """Kill this many workers, and servers in proportion, in rounds."""
    killed: Counter[str] = Counter()
    for number in range(1, -(-workers // ROUND) + 1):
        name = f"round {number}"
        title = f"{ROUND} workers, {ROUND // WORKERS_FOR_A_SERVER} PostgreSQL and as many Valkey killed"
        row = Row(
            name, title, partial(_round, killed=killed), within=REST_SECONDS, rate=1.0, may_be_late=True
        )
        campaign.results.append(await campaign.run_row(row, f"long/{campaign.seed}/{number}"))
        say(f"    {_so_far(campaign, killed)}")


def _so_far(campaign: Campaign, killed: Counter[str]) -> str:
    orders = sum(result.finding.orders for result in campaign.results)
    violations = sum(len(result.finding.violations) for result in campaign.results)
    kills = ", ".join(f"{killed[what]} {what}" for what in DEATHS)
    return f"so far {orders} orders; killed: {kills}; {violations} violations"


async def _round(arena: Arena, *, killed: Counter[str]) -> None:
    deaths = ["workers"] * ROUND + ["PostgreSQL", "Valkey"] * (ROUND // WORKERS_FOR_A_SERVER)
    arena.dice.shuffle(deaths)
    follower = Follower(arena.rig, arena.dice, reconnect_every=10.0)
    await follower.start()
    lasting = len(deaths) * PAUSE_SECONDS
    pouring = asyncio.create_task(arena.load.pour(ROUND * ORDERS_FOR_A_WORKER, lasting=lasting))
    for death in deaths:
        await asyncio.sleep(PAUSE_SECONDS * arena.dice.uniform(0.5, 1.5))
        arena.struck()
        await DEATHS[death](arena)
        killed[death] += 1
    await pouring
    await _compare_at_rest(arena, follower)


async def _compare_at_rest(arena: Arena, follower: Follower) -> None:
    """Compare at rest: before, the journal is ahead of its followers."""
    await arena.load.stop()
    await arena.rig.until(lambda: unrest(arena.rig) == 0, seconds=REST_SECONDS)
    arena.violations += await follower.violations()
    await follower.stop()


async def _worker(arena: Arena) -> None:
    """Kill a worker that is up: a starting one has nothing to lose."""
    await arena.rig.until(lambda: len(_up(arena)) >= UP, seconds=START_SECONDS)
    up = _up(arena) or list(STEP_WORKERS)
    arena.rig.kill(arena.dice.choice(up[:UP]))


def _up(arena: Arena) -> list[str]:
    up = [name for name in STEP_WORKERS if arena.rig.has_children(name)]
    return sorted(up, key=lambda name: arena.rig.processes[name].since)


async def _postgres(arena: Arena) -> None:
    await arena.rig.end_engine("postgres", signal.SIGKILL)
    await asyncio.sleep(arena.dice.uniform(0, 1.5))
    await arena.rig.start_postgres()


async def _valkey(arena: Arena) -> None:
    """Kill Valkey; every other time its data are lost."""
    await arena.rig.end_engine("valkey", signal.SIGKILL)
    await asyncio.sleep(arena.dice.uniform(0, 1.5))
    await arena.rig.start_valkey(empty=arena.dice.random() < 0.5)


DEATHS: dict[str, Callable[[Arena], Awaitable[None]]] = {
    "workers": _worker,
    "PostgreSQL": _postgres,
    "Valkey": _valkey,
}
