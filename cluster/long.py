"""Long mode: every minute a random node dies, under load, for hours. The same seed throws the same dice."""

import random
import time

from cluster import faults, judge
from cluster.database import leader
from cluster.load import Load
from cluster.plan import Node, Plan
from cluster.prove import comes_back, longest_silence, new_load, report, say

PERIOD_SECONDS = 60.0
# A node is off for a time between these.
SHORTEST, LONGEST = 5.0, 35.0
# PostgreSQL elects another leader within 25 s; a node that starts again takes its share of the processors meanwhile.
SILENCE_SECONDS = 40.0


def endure(plan: Plan, *, hours: float, seed: int) -> list[str]:
    """Kill a node a minute, each back before the next dies; return violations."""
    dice, load = random.Random(seed), new_load(plan)  # noqa: S311 - dice with a seed
    until, number, wrong = time.monotonic() + hours * 3600, 0, list[str]()
    say(f"Seed {seed}: {load.rate:g} orders a second, a node dies every minute, for {hours:g} hours.")
    load.start()
    try:
        while time.monotonic() < until and not wrong:
            number += 1
            began = time.monotonic()
            node, away = dice.choice(plan.nodes), dice.uniform(SHORTEST, LONGEST)
            wrong += _die(plan, load, number, node, away)
            time.sleep(max(0.0, began + PERIOD_SECONDS - time.monotonic()))
    finally:
        load.stop()
    wrong += judge.judge(plan, load)
    report(load)
    return wrong


def _die(plan: Plan, load: Load, number: int, node: Node, away: float) -> list[str]:
    part = "the leader" if leader(plan) == node.name else "a standby"
    at = time.time()
    faults.kill(plan, node)
    time.sleep(away)
    faults.heal(plan, node)
    is_back = comes_back(plan, node)
    silence = longest_silence(load, at, time.time())
    missing = judge.missing(plan, load)
    say(
        f"{number}: {node.name} ({part}) off for {away:.0f} s, answers silent {silence:.1f} s, back after"
        f" {time.time() - at - away:.0f} s; {len(load.accepted)} orders so far, {len(missing)} missing"
    )
    wrong = [] if is_back else [f"{node.name} did not come back"]
    wrong += [f"{len(missing)} acknowledged orders are missing, such as {missing[0]}"] if missing else []
    if silence > SILENCE_SECONDS:
        wrong.append(f"no 2xx for {silence:.1f} s after {node.name} died")
    return wrong
